"""The language model that answers, and whether it is there: asked once, at the start, which hardly waits for it.

A model that does not answer is a warning, because it may come later, and not every server lists its models.
"""

from __future__ import annotations

import base64
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import unquote, urlsplit

from parlor.llm.personas import load_personas
from parlor.settings import LLM_PROVIDERS, OPENAI_URL, Settings
from parlor.settings.urls import is_loopback, without_password

ANSWER_SECONDS = 2.0
_ANSWER_MAX = 4 * 1024 * 1024
_LISTED = 5
"""Models of a server that a warning names."""


def models(settings: Settings) -> list[str]:
    """The models that the personas name, each once, the default persona's first."""
    personas = load_personas(settings.llm)
    personas.sort(key=lambda persona: persona.name != settings.llm.default_persona)
    return list(dict.fromkeys(persona.model for persona in personas))


def title(settings: Settings) -> str:
    """Which models answer, and where."""
    where = f"by {settings.llm.provider}"
    if settings.llm.provider in LLM_PROVIDERS:
        where = f"at {without_password(_address(settings))}"
    return f"{', '.join(models(settings))} {where}"


def warning(settings: Settings, seconds: float = ANSWER_SECONDS) -> str | None:
    """What is wrong with the model as far as its server tells within ``seconds``; None when nothing is, or for a
    provider that only its own package can ask."""
    if settings.llm.provider not in LLM_PROVIDERS:
        return None
    found: list[str | None] = []
    # In a thread, because nothing else bounds the lookup of a host's name.
    thread = threading.Thread(target=lambda: found.append(_ask(settings, seconds)), name="model-check", daemon=True)
    thread.start()
    thread.join(seconds)
    return found[0] if found else f"it did not answer within {seconds:g} s"


def _address(settings: Settings) -> str:
    return settings.llm.base_url or OPENAI_URL


def _ask(settings: Settings, seconds: float) -> str | None:
    request = _request(_address(settings), settings.llm_api_key)
    # A proxy of the environment cannot reach servers on this machine; the client of the models does the same.
    proxies = urllib.request.ProxyHandler({} if is_loopback(request.full_url) else None)
    try:
        with urllib.request.build_opener(proxies).open(request, timeout=seconds) as answer:
            listed = _listed(answer.read(_ANSWER_MAX))
    except urllib.error.HTTPError as error:
        return _refused(error.code)
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        return f"it does not answer: {reason}"
    if listed is None:
        return "GET /models is not answered as OpenAI's API does; check the path of its URL"
    # Ollama lists `llama3.2:latest`, which answers to `llama3.2`.
    names = {*listed, *(name.removesuffix(":latest") for name in listed)}
    missing = [model for model in models(settings) if model not in names]
    if missing and listed:
        more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
        return f"it does not list {', '.join(missing)}; it lists {', '.join(listed[:_LISTED])}{more}"
    return None


def _request(url: str, key: str) -> urllib.request.Request:
    parts = urlsplit(url)
    target = parts._replace(netloc=parts.netloc.rpartition("@")[2], path=f"{parts.path.rstrip('/')}/models").geturl()
    request = urllib.request.Request(target, headers={"Accept": "application/json"})  # noqa: S310 - http or https, as checked
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        request.add_header("Authorization", f"Basic {base64.b64encode(pair).decode()}")
    elif key:
        request.add_header("Authorization", f"Bearer {key}")
    return request


def _refused(status: int) -> str:
    match status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return f"it refuses the API key ({status}): OPENAI_API_KEY or PARLOR_LLM__API_KEY"
        case HTTPStatus.NOT_FOUND:
            return "it has no GET /models (404); check the path of its URL"
        case _:
            return f"it answers GET /models with {status}"


def _listed(body: bytes) -> Sequence[str] | None:
    """The ids of an answer in OpenAI's form; None for another one."""
    try:
        data = json.loads(body)["data"]
        return [str(model["id"]) for model in data]
    except (ValueError, LookupError, TypeError):
        return None
