"""One answer from a server with OpenAI's chat completions API, or its Responses API (``responses.py``): the request,
its timeouts, and refused parameters.

- **The openai package says what is sent where**: address, headers and keys, and what errors mean. It says so once: to
  send each request through it costs 1.4 ms of processor time, aiohttp alone 0.2 to 0.3 ms, and its stream objects cost
  130 microseconds for each token (docs/adr/0046). So aiohttp carries requests, and ``AnswerParser`` reads bytes.
- **Four timeouts.** To connect; from the request to the first token; between two tokens; and the caller's deadline.
  Comments and empty chunks, which proxies send to keep a connection open, do not count as tokens; hidden reasoning
  does. A timeout is not tried again.
- **Servers differ.** Some compatible servers refuse ``stream_options``; OpenAI's reasoning models refuse ``max_tokens``
  and ``temperature``. A request that is refused because of one of them (HTTP 400 or 422 that names it) is sent again
  without it, and the refusal is remembered for the model. This does not count as a retry, because nothing was
  generated. A server without ``stream_options`` may send no usage; the completion then has none.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote, urlsplit

import aiohttp
import httpx2
import msgspec
import openai
from openai import AsyncOpenAI
from yarl import URL

from parlor.clock import Clock
from parlor.errors import LlmError
from parlor.llm import responses
from parlor.llm.answer import AnswerParser
from parlor.llm.chunk import DECODE_ERRORS
from parlor.llm.failures import llm_error, refusal
from parlor.llm.ports import Context, Part, Persona, PromptTurn
from parlor.llm.responses import ResponseParser
from parlor.model.offers import AnswerForm, OfferedTool, ToolChoice
from parlor.model.tools import Tool
from parlor.model.tracing import current_trace
from parlor.settings import OPENAI_URL, LlmSettings
from parlor.settings.urls import is_loopback

CONNECTIONS_MAX = 2000
"""Answers that one process streams at a time; further ones wait up to the connect timeout, then fail (retryable)."""
TAIL_TIMEOUT = 2.0
"""Seconds that a complete answer waits for its usage and ``[DONE]``, before it ends without them."""
DRAIN_TIMEOUT = 0.05
"""Seconds to wait for the end of the body after ``[DONE]``; once it is read, the connection can be used again."""
ERROR_PAGE_MAX = 64 * 1024
"""Bytes of the body of an error that are read."""
HEADERS_MAX = 500
HEADER_MAX = 64 * 1024
"""Bytes of one header of an answer. aiohttp's own limit of 8 KiB is less than what gateways send."""
OPTIONAL_PARAMETERS = ("stream_options", "max_tokens", "max_output_tokens", "temperature")
"""Parameters that are left out when a server refuses them. ``max_tokens`` is then sent under its newer name,
``max_completion_tokens``."""
_BROKEN = (aiohttp.ClientError, OSError)
"""A connection that breaks, or a response that is not HTTP."""


class Upstream:
    """A client of one server, which remembers what the server refuses."""

    def __init__(self, settings: LlmSettings, api_key: str, clock: Clock) -> None:
        """Raises ``ValueError`` if there is neither a base URL nor a key."""
        if not settings.base_url and not api_key:
            raise ValueError("no language model: set PARLOR_LLM__BASE_URL or OPENAI_API_KEY")
        self._responses = settings.api == "responses"
        self._api_key = api_key
        self._clock = clock
        self._first_token_timeout = settings.first_token_timeout.total_seconds()
        self._idle_timeout = settings.idle_timeout.total_seconds()
        self._session_header = settings.session_header
        self._refused: dict[str, frozenset[str]] = {}
        base_url, query, auth = _taken_apart(settings.base_url or OPENAI_URL)
        # The package requires a key; servers that need none ignore it.
        self._openai = AsyncOpenAI(api_key=api_key or "none", base_url=base_url, default_query=query)
        path = responses.PATH if self._responses else "/chat/completions"
        self._url = URL(f"{str(self._openai.base_url).rstrip('/')}{path}", encoded=True).extend_query(query)
        # Servers buffer a stream to compress it.
        self._headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
        for name, value in {**self._openai.default_headers, **self._openai.auth_headers}.items():
            if isinstance(value, str):
                self._headers.setdefault(name, value)
        if auth:
            self._headers["Authorization"] = auth
        self._connect_timeout = settings.connect_timeout.total_seconds()
        # The environment's proxy cannot reach servers on this machine, such as the demo model.
        self._trust_env = not is_loopback(base_url)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Closes all connections; answers in progress break off."""
        await self._openai.close()
        if self._session is not None:
            await self._session.close()

    async def answer(self, persona: Persona, context: Context, deadline: float) -> AsyncGenerator[Part, None]:
        """Streams deltas of text and of reasoning, usages as the server counts, then one completion. ``deadline`` is on
        the clock's ``monotonic``. Raises ``LlmError``.

        Closing or cancelling the generator closes the connection at once, so that the server stops generating.
        """
        with ExitStack() as stack:
            until = min(self._clock.monotonic() + self._first_token_timeout, deadline)
            response = await self._open(stack, persona, context, until)
            answer = (ResponseParser if self._responses else AnswerParser)(tools=bool(context.tools))
            while not answer.done:
                tokens, usage, finished = answer.tokens, answer.usage, answer.finished
                read = await self._read(response, answer, until)
                for piece in answer.feed(read) if read else answer.close():
                    yield piece
                if answer.usage is not usage and answer.usage is not None:
                    yield answer.usage
                answer.check()
                if not read:
                    break
                if answer.finished and not finished:
                    # Once: a server that only keeps the connection open is not waited for.
                    until = min(self._clock.monotonic() + TAIL_TIMEOUT, deadline)
                elif answer.tokens > tokens:
                    until = min(self._clock.monotonic() + self._idle_timeout, deadline)
            if answer.done:
                await _drain(response)
        yield answer.completion()

    async def _open(self, stack: ExitStack, persona: Persona, context: Context, until: float) -> aiohttp.ClientResponse:
        """Sends the request and returns the response once its headers are read; ``stack`` closes it."""
        while True:
            refused = self._refused.get(persona.model, frozenset())
            try:
                async with asyncio.timeout(max(until - self._clock.monotonic(), 0)):
                    response = await self._request(persona, context, refused)
                    stack.callback(response.close)
                    if response.status >= HTTPStatus.BAD_REQUEST:
                        raise await _status_error(response)
            except openai.APIStatusError as error:
                if (name := _refused_parameter(error, refused)) is None:
                    raise self._censored(refusal(error, self._clock.now_ms() / 1000)) from error
                self._refused[persona.model] = refused | {name}
            except aiohttp.ClientError as error:
                raise self._unreachable(error) from error
            except TimeoutError as error:
                raise _late() from error
            except OSError as error:
                raise self._unreachable(error) from error
            else:
                if response.method != "POST":
                    # HTTP 301, 302 and 303 make a GET of it; 307 and 308 are followed.
                    raise llm_error("The language model's endpoint has another address", debug=str(response.url))
                return response

    def _unreachable(self, error: Exception) -> LlmError:
        return self._censored(llm_error("The language model cannot be reached", debug=repr(error), retryable=True))

    async def _request(self, persona: Persona, context: Context, refused: frozenset[str]) -> aiohttp.ClientResponse:
        body = (responses.request_body if self._responses else _body)(persona, context, refused)
        if self._session is None:
            self._session = self._new_session()
        headers = self._headers
        if self._session_header and context.session:
            headers = {**headers, self._session_header: context.session}
        if trace := current_trace():
            headers = {**headers, "traceparent": trace}
        return await self._session.post(self._url, data=msgspec.json.encode(body), headers=headers)

    def _new_session(self) -> aiohttp.ClientSession:
        """The connections, made by the loop that uses them."""
        connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX, ssl=httpx2.create_ssl_context())
        return aiohttp.ClientSession(
            connector=connector,
            # Reading has no timeout of its own here: see ``_read``.
            timeout=aiohttp.ClientTimeout(total=None, connect=self._connect_timeout),
            trust_env=self._trust_env,
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=HEADER_MAX,
            max_field_size=HEADER_MAX,
            max_headers=HEADERS_MAX,
        )

    async def _read(
        self, response: aiohttp.ClientResponse, answer: AnswerParser | ResponseParser, until: float
    ) -> bytes:
        """Returns the next bytes; empty at the end of the stream, or if only the tail after a complete answer is
        missing."""
        # The timeout is around the read alone: around a yield it would cancel the caller's own work.
        try:
            async with asyncio.timeout(max(until - self._clock.monotonic(), 0)):
                return await response.content.readany()
        except TimeoutError as error:
            if answer.finished:
                return b""
            raise _late(begun=answer.tokens > 0) from error
        except _BROKEN as error:
            if answer.finished:
                return b""
            detail = "The language model's answer broke off"
            raise self._censored(llm_error(detail, debug=repr(error), retryable=True)) from error

    def _censored(self, error: LlmError) -> LlmError:
        """Removes the key from what is logged: OpenAI repeats part of a wrong key, other servers all of it."""
        if self._api_key:
            error.debug = error.debug.replace(self._api_key, "***")
        error.debug = re.sub(r"\bsk-[\w*.-]+", "sk-***", error.debug)
        return error


def _taken_apart(url: str) -> tuple[str, dict[str, str], str]:
    """Splits a URL's query (Azure's ``?api-version=``), which would otherwise end up before the path of a call, and its
    user and password: aiohttp accepts authentication by header or by URL, not both."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    base = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()
    if parts.username is None:
        return base, query, ""
    credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return base, query, f"Basic {base64.b64encode(credentials.encode()).decode()}"


def _body(persona: Persona, context: Context, refused: frozenset[str]) -> dict[str, object]:
    body: dict[str, object] = {
        "model": persona.model,
        "messages": [_message(turn) for turn in context.turns],
        "stream": True,
    }
    if context.tools:
        body["tools"] = [_tool(tool) for tool in context.tools]
    if context.tool_choice is not None:
        body["tool_choice"] = _choice(context.tool_choice)
    if context.form is not None:
        body["response_format"] = _format(context.form)
    if "stream_options" not in refused:
        body["stream_options"] = {"include_usage": True}
    if persona.max_tokens is not None:
        body["max_completion_tokens" if "max_tokens" in refused else "max_tokens"] = persona.max_tokens
    if persona.temperature is not None and "temperature" not in refused:
        body["temperature"] = persona.temperature
    return body


def _message(turn: PromptTurn) -> dict[str, object]:
    message: dict[str, object] = {"role": turn.role, "content": _content(turn)}
    if turn.reasoning:
        message["reasoning_content"] = turn.reasoning
    if turn.calls:
        message["tool_calls"] = [
            {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in turn.calls
        ]
    if turn.call_id:
        message["tool_call_id"] = turn.call_id
    return message


def _choice(choice: ToolChoice) -> str | dict[str, object]:
    return {"type": "function", "function": {"name": choice.name}} if choice.kind == "named" else choice.kind


def _format(form: AnswerForm) -> dict[str, object]:
    if form.schema is None:
        return {"type": "json_object"}
    schema = {"name": form.name, "schema": form.schema, "strict": form.strict}
    return {"type": "json_schema", "json_schema": schema}


def _tool(tool: Tool | OfferedTool) -> dict[str, object]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def _content(turn: PromptTurn) -> str | list[dict[str, object]]:
    """The text alone, which every server takes, or a list of parts with the images."""
    if not turn.images:
        return turn.content
    parts: list[dict[str, object]] = [{"type": "text", "text": turn.content}]
    for image in turn.images:
        url = f"data:{image.media_type};base64,{base64.b64encode(image.data).decode()}"
        parts.append({"type": "image_url", "image_url": {"url": url}})
    return parts


def _refused_parameter(error: openai.APIStatusError, refused: frozenset[str]) -> str | None:
    """Returns the optional parameter that a refusal names, unless it was already left out."""
    if error.status_code not in {400, 422}:
        return None
    why = f"{error.param} {error.message}"
    return next((name for name in OPTIONAL_PARAMETERS if name not in refused and re.search(rf"\b{name}\b", why)), None)


async def _status_error(response: aiohttp.ClientResponse) -> openai.APIStatusError:
    """The package's error for a refusal, which finds code and parameter in it."""
    read = await _error_page(response)
    kept = httpx2.Response(
        response.status,
        # The package takes no others: a header may be in any encoding.
        headers=[(name, value) for name, value in response.headers.items() if f"{name}{value}".isascii()],
        request=httpx2.Request(response.method, str(response.url)),
    )
    try:
        body = msgspec.json.decode(read)
    except DECODE_ERRORS:
        body = None
    if isinstance(body, list) and body:
        body = body[0]  # Google's errors
    error = body.get("error", body) if isinstance(body, dict) else body
    message = read.decode(errors="replace") or f"Error code: {response.status}"
    return openai.APIStatusError(message, response=kept, body=error)


async def _error_page(response: aiohttp.ClientResponse) -> bytes:
    """As much as there is of it: what breaks off, or has no end, does not hide the status."""
    read = b""
    try:
        async with asyncio.timeout(TAIL_TIMEOUT):
            while len(read) < ERROR_PAGE_MAX and (piece := await response.content.readany()):
                read += piece
    except (TimeoutError, *_BROKEN):
        return read
    return read[:ERROR_PAGE_MAX]


async def _drain(response: aiohttp.ClientResponse) -> None:
    try:
        async with asyncio.timeout(DRAIN_TIMEOUT):
            while await response.content.readany():
                continue
    except (TimeoutError, *_BROKEN):
        return  # the answer is complete; only this connection cannot be used again


def _late(*, begun: bool = False) -> LlmError:
    detail = (
        "The language model stopped in the middle of its answer"
        if begun
        else "The language model did not answer in time"
    )
    # Not retryable: a person who has waited that long would wait as long again.
    return llm_error(detail, debug="timeout")
