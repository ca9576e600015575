"""One answer from a server that speaks OpenAI's chat completions: the request, its timeouts, what the server refuses.

- **Bytes, not objects.** The openai package's own stream objects cost 130 microseconds a token (measured; a process
  then ends at 7,500 tokens/s). Its raw response is read here and parsed by ``AnswerParser``.
- **aiohttp underneath.** The package's own choice of transport looks at all its connections for each request: 1.5 ms of
  processor time for an answer when 100 stream, 0.6 ms with aiohttp (1.9 and 0.8 ms at 500; measured).
- **Four timeouts.** To connect; from the request to the first token; between two tokens; and the caller's deadline.
  Comments and empty chunks do not count as tokens (proxies send them to keep a connection), the tokens of a hidden
  reasoning do.
- **Servers differ.** ``stream_options`` is refused by some compatible servers, ``max_tokens`` and ``temperature`` by
  OpenAI's reasoning models. A request that is refused for one of them (HTTP 400 or 422 that names it) is sent again
  without it, and the model's refusals are remembered. That is no retry: nothing was generated. A server without
  ``stream_options`` may send no usage; the completion then has none.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from typing import cast
from urllib.parse import unquote, urlsplit

import aiohttp
import httpx2
import openai
from openai import AsyncOpenAI, AsyncStream, DefaultAioHttpClient
from openai.types.chat import ChatCompletionChunk

from parlor.clock import Clock
from parlor.errors import LlmError
from parlor.llm.answer import AnswerParser
from parlor.llm.failures import llm_error, refusal
from parlor.llm.ports import Completion, Context, Persona, TextDelta
from parlor.settings import LlmSettings

OPENAI_URL = "https://api.openai.com/v1"
CONNECTIONS_MAX = 2000
"""Answers that one process streams at the same time; more wait up to the connect timeout, then fail (retryable)."""
TAIL_TIMEOUT = 2.0
"""Seconds that a whole answer waits for its usage and ``[DONE]``; then it counts without."""
DRAIN_TIMEOUT = 0.05
"""Seconds for the end of the body after ``[DONE]``; once it is read, the connection can be used again."""
OPTIONAL_PARAMETERS = ("stream_options", "max_tokens", "temperature")
"""What a server may refuse and do without. ``max_tokens`` then goes by its newer name, ``max_completion_tokens``."""
_BROKEN = (httpx2.RequestError, aiohttp.ClientError, OSError)
"""A connection that ends in the middle, or an answer that is no HTTP; the last two are what the first lets through."""


class Upstream:
    """The server, and what is known of it."""

    def __init__(self, settings: LlmSettings, api_key: str, clock: Clock) -> None:
        """Raises ``ValueError`` with neither a base URL nor a key."""
        if not settings.base_url and not api_key:
            raise ValueError("no language model: set PARLOR_LLM__BASE_URL or OPENAI_API_KEY")
        self._api_key = api_key
        self._clock = clock
        self._first_token_timeout = settings.first_token_timeout.total_seconds()
        self._idle_timeout = settings.idle_timeout.total_seconds()
        self._refused: dict[str, frozenset[str]] = {}
        base_url, auth = _without_user(settings.base_url or OPENAI_URL)
        connect = settings.connect_timeout.total_seconds()
        self._client = AsyncOpenAI(
            # The package insists on a key; servers that need none ignore it.
            api_key=api_key or "none",
            base_url=base_url,
            max_retries=0,
            # Reading has no timeout of its own here: see ``_read``.
            timeout=httpx2.Timeout(None, connect=connect, pool=connect, write=connect),
            http_client=DefaultAioHttpClient(
                auth=auth,
                limits=httpx2.Limits(max_connections=CONNECTIONS_MAX),
                # A proxy of the environment does not reach this machine's own servers, the demo model among them.
                trust_env=not is_loopback(base_url),
            ),
        )

    async def close(self) -> None:
        """Closes idle connections; answers under way break."""
        await self._client.close()

    async def answer(
        self, persona: Persona, context: Context, deadline: float
    ) -> AsyncGenerator[TextDelta | Completion, None]:
        """Text deltas, then one completion. ``deadline``: of the clock's ``monotonic``. Raises ``LlmError``.

        Closing or cancelling the generator closes the connection at once, so that the server stops generating.
        """
        async with AsyncExitStack() as stack:
            until = min(self._clock.monotonic() + self._first_token_timeout, deadline)
            response = await self._open(stack, persona, context, until)
            reads = await stack.enter_async_context(aclosing(_reads(response)))
            answer = AnswerParser()
            while not answer.done:
                tokens = answer.tokens
                read = await self._read(reads, answer, until)
                if text := answer.feed(read) if read else answer.close():
                    yield TextDelta(text)
                    answer.check()
                if not read:
                    break
                if answer.finished:
                    until = min(self._clock.monotonic() + TAIL_TIMEOUT, deadline)
                elif answer.tokens > tokens:
                    until = min(self._clock.monotonic() + self._idle_timeout, deadline)
            if answer.done:
                await _drain(reads)
        yield answer.completion()

    async def _open(self, stack: AsyncExitStack, persona: Persona, context: Context, until: float) -> httpx2.Response:
        """Sends the request and reads the response's head; the stack closes it."""
        while True:
            refused = self._refused.get(persona.model, frozenset())
            try:
                async with asyncio.timeout(max(until - self._clock.monotonic(), 0)):
                    response = await self._request(persona, context, refused)
                stack.push_async_callback(response.aclose)
            except openai.APIStatusError as error:
                if (name := _refused_parameter(error, refused)) is None:
                    raise self._censored(refusal(error)) from error
                self._refused[persona.model] = refused | {name}
            except TimeoutError as error:
                raise _late() from error
            except (openai.APIConnectionError, *_BROKEN) as error:
                detail, cause = "The language model cannot be reached", error.__cause__ or error
                raise self._censored(llm_error(detail, debug=repr(cause), retryable=True)) from error
            else:
                _require_stream(response)
                return response

    async def _request(self, persona: Persona, context: Context, refused: frozenset[str]) -> httpx2.Response:
        body = _body(persona, context, refused)
        # The package's door for raw requests; ``chat.completions.create`` would walk through every message first.
        # Its types say a stream, but ``cast_to`` a response gives the response.
        response: object = await self._client.post(
            "/chat/completions",
            cast_to=httpx2.Response,
            body=body,
            # A compressed stream is a buffered one.
            options={"headers": {"Accept": "text/event-stream", "Accept-Encoding": "identity"}},
            stream=True,
            stream_cls=AsyncStream[ChatCompletionChunk],
        )
        return cast("httpx2.Response", response)

    async def _read(self, reads: AsyncIterator[bytes], answer: AnswerParser, until: float) -> bytes:
        """The next bytes; empty at the end of the stream, also when only the tail of a whole answer is missing."""
        # The timeout is around the read alone: around a yield it would cancel whatever the caller does meanwhile.
        try:
            async with asyncio.timeout(max(until - self._clock.monotonic(), 0)):
                return await anext(reads, b"")
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
        """Without the key in what is logged: OpenAI repeats a part of a wrong one, others all of it."""
        if self._api_key:
            error.debug = error.debug.replace(self._api_key, "***")
        error.debug = re.sub(r"\bsk-[\w*.-]+", "sk-***", error.debug)
        return error


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine itself."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _without_user(url: str) -> tuple[str, httpx2.BasicAuth | None]:
    """A URL without user and password, and these as what they stand for: aiohttp takes one of key and URL, not both."""
    parts = urlsplit(url)
    if parts.username is None:
        return url, None
    auth = httpx2.BasicAuth(unquote(parts.username), unquote(parts.password or ""))
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(), auth


def _body(persona: Persona, context: Context, refused: frozenset[str]) -> dict[str, object]:
    body: dict[str, object] = {
        "model": persona.model,
        "messages": [{"role": turn.role, "content": turn.content} for turn in context.turns],
        "stream": True,
    }
    if "stream_options" not in refused:
        body["stream_options"] = {"include_usage": True}
    if persona.max_tokens is not None:
        body["max_completion_tokens" if "max_tokens" in refused else "max_tokens"] = persona.max_tokens
    if persona.temperature is not None and "temperature" not in refused:
        body["temperature"] = persona.temperature
    return body


def _refused_parameter(error: openai.APIStatusError, refused: frozenset[str]) -> str | None:
    """The optional parameter that a refusal is about, unless it was left out already."""
    if error.status_code not in {400, 422}:
        return None
    said = f"{error.param} {error.message}"
    return next((name for name in OPTIONAL_PARAMETERS if name not in refused and re.search(rf"\b{name}\b", said)), None)


def _require_stream(response: httpx2.Response) -> None:
    """A web page or a whole JSON document is not what was asked for: most likely a wrong address."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in {"text/html", "application/json"}:
        raise llm_error("The language model's endpoint did not answer with a stream", debug=f"Content-Type: {kind}")


async def _reads(response: httpx2.Response) -> AsyncGenerator[bytes, None]:
    # The bare transport stream spares two generators for each token; decoding is only for a server that compresses
    # although it was asked not to.
    encoded = response.headers.get("content-encoding", "identity") != "identity"
    stream = response.aiter_bytes() if encoded else cast("httpx2.AsyncByteStream", response.stream).__aiter__()
    async with aclosing(cast("AsyncGenerator[bytes, None]", stream)):
        async for read in stream:
            if read:
                yield read


async def _drain(reads: AsyncIterator[bytes]) -> None:
    try:
        async with asyncio.timeout(DRAIN_TIMEOUT):
            while await anext(reads, b""):
                continue
    except (TimeoutError, *_BROKEN):
        return  # the answer is whole; this connection will just not be used again


def _late(*, begun: bool = False) -> LlmError:
    detail = (
        "The language model stopped in the middle of its answer"
        if begun
        else "The language model did not answer in time"
    )
    return llm_error(detail, debug="timeout", retryable=True)
