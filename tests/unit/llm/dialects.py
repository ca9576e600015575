"""Answers as servers of OpenAI's protocol write them: the shapes were taken from what each of them sends."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import msgspec

JsonObject = dict[str, object]


class Dialect(msgspec.Struct, frozen=True):
    """How one server writes a stream."""

    name: str
    piece: Callable[[str], JsonObject]
    """A chunk with this text."""
    closing: Sequence[JsonObject]
    """The chunks behind the text: the finish reason, the usage."""
    opening: Sequence[JsonObject] = ()
    thought: Callable[[str], JsonObject] | None = None
    """A chunk with hidden reasoning."""
    field: bytes = b"data: "
    beat: bytes = b": keep-alive\n\n"
    done: bool = True
    """Whether ``[DONE]`` is the end."""


class Frame(msgspec.Struct, frozen=True):
    """One event of a stream."""

    data: bytes
    text: str = ""
    """What it adds to the answer."""


def event(dialect: Dialect, chunk: object) -> bytes:
    return dialect.field + json.dumps(chunk, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def frames(dialect: Dialect, pieces: Sequence[str], thoughts: Sequence[str] = ()) -> list[Frame]:
    """The events of an answer with this text."""
    thinking = [dialect.thought(text) for text in thoughts] if dialect.thought is not None else []
    return [
        *(Frame(event(dialect, chunk)) for chunk in (*dialect.opening, *thinking)),
        *(Frame(event(dialect, dialect.piece(text)), text) for text in pieces),
        *(Frame(event(dialect, chunk)) for chunk in dialect.closing),
        *([Frame(dialect.field + b"[DONE]\n\n")] if dialect.done else []),
    ]


def _chunk(delta: JsonObject, finish: object = None, choice: JsonObject | None = None, **more: object) -> JsonObject:
    head = {"id": "chatcmpl-8fK2", "object": "chat.completion.chunk", "created": 1764000000, "model": "m"}
    return {**head, "choices": [{"index": 0, "delta": delta, **(choice or {}), "finish_reason": finish}], **more}


def _usage(**more: object) -> JsonObject:
    return {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12, **more}


def _openai() -> Dialect:
    fields = {"service_tier": "default", "system_fingerprint": "fp_f1", "usage": None, "obfuscation": "Qx3"}
    logprobs: JsonObject = {"logprobs": None}
    details = {"prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}}
    return Dialect(
        "OpenAI",
        opening=[_chunk({"role": "assistant", "content": "", "refusal": None}, None, logprobs, **fields)],
        piece=lambda text: _chunk({"content": text}, None, logprobs, **fields),
        closing=[_chunk({}, "stop", logprobs, **fields), {**_chunk({}), "choices": [], "usage": _usage(**details)}],
    )


def _azure() -> Dialect:
    safe = {kind: {"filtered": False, "severity": "safe"} for kind in ("hate", "self_harm", "sexual", "violence")}
    filters: JsonObject = {"content_filter_results": safe, "logprobs": None}
    prompt = {"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": [filters]}
    return Dialect(
        "Azure",
        opening=[prompt, _chunk({"content": "", "refusal": None, "role": "assistant"}, None, filters)],
        piece=lambda text: _chunk({"content": text}, None, filters),
        closing=[_chunk({}, "stop", {"content_filter_results": {}}), {"choices": [], "usage": _usage()}],
    )


def _vllm() -> Dialect:
    logprobs: JsonObject = {"logprobs": None}
    return Dialect(
        "vLLM",
        opening=[_chunk({"role": "assistant", "content": ""}, None, logprobs, prompt_token_ids=None)],
        thought=lambda text: _chunk({"reasoning_content": text}, None, logprobs, usage=_usage()),
        piece=lambda text: _chunk({"content": text}, None, {**logprobs, "token_ids": None}, usage=_usage()),
        closing=[
            _chunk({"content": ""}, "stop", {**logprobs, "stop_reason": None}),
            {**_chunk({}), "choices": [], "usage": _usage(prompt_tokens_details=None)},
        ],
    )


def _sglang() -> Dialect:
    def delta(content: str | None, reasoning: str | None = None) -> JsonObject:
        return {"role": None, "content": content, "reasoning_content": reasoning, "tool_calls": None}

    more: JsonObject = {"logprobs": None, "matched_stop": None}
    return Dialect(
        "SGLang",
        opening=[_chunk({**delta(""), "role": "assistant"}, "", more, usage=None)],
        thought=lambda text: _chunk(delta(None, text), "", more, usage=None),
        piece=lambda text: _chunk(delta(text), "", more, usage=None),
        closing=[_chunk(delta(None), "stop", {"matched_stop": 151645}, usage=None), {"choices": [], "usage": _usage()}],
    )


def _ollama() -> Dialect:
    def chunk(delta: JsonObject, finish: str | None = None) -> JsonObject:
        return _chunk({"role": "assistant", **delta}, finish, system_fingerprint="fp_ollama")

    return Dialect(
        "Ollama",
        thought=lambda text: chunk({"content": "", "reasoning": text}),
        piece=lambda text: chunk({"content": text}),
        closing=[chunk({"content": ""}, "stop"), {**chunk({}), "choices": [], "usage": _usage()}],
    )


def _llama_cpp() -> Dialect:
    timings = {"prompt_n": 9, "prompt_ms": 12.3456789, "predicted_n": 3, "predicted_per_second": 1e6}
    return Dialect(
        "llama.cpp",
        opening=[_chunk({"role": "assistant", "content": None})],
        thought=lambda text: _chunk({"reasoning_content": text}),
        piece=lambda text: _chunk({"content": text}, system_fingerprint="b4520-ec7f3ac9"),
        closing=[_chunk({}, "stop", usage=_usage(), timings=timings)],
        beat=b":\n\n",
    )


def _tgi() -> Dialect:
    return Dialect(
        "TGI",
        piece=lambda text: _chunk({"role": "assistant", "content": text}, None, {"logprobs": None}, usage=None),
        closing=[_chunk({"role": "assistant", "content": ""}, "eos_token", {"logprobs": None}, usage=_usage())],
        field=b"data:",
        done=False,
    )


def _litellm() -> Dialect:
    rest: JsonObject = {"role": "assistant", "function_call": None, "tool_calls": None, "audio": None}
    options = {"include_usage": True}
    fields: JsonObject = {"provider_specific_fields": None, "stream_options": options, "citations": None}
    return Dialect(
        "LiteLLM",
        thought=lambda text: _chunk({"content": "", "reasoning_content": text, **rest}, None, None, **fields),
        piece=lambda text: _chunk({"content": text, **rest}, None, {"logprobs": None}, **fields),
        closing=[_chunk({"content": None, **rest}, "stop"), _chunk({"content": None, **rest}, usage=_usage())],
    )


def _mistral() -> Dialect:
    def thought(text: str) -> JsonObject:
        part = {"type": "thinking", "thinking": [{"type": "text", "text": text}], "closed": True}
        return _chunk({"content": [part]}, p="abcdef")

    return Dialect(
        "Mistral",
        opening=[_chunk({"role": "assistant", "content": ""}, p="abc")],
        thought=thought,
        piece=lambda text: _chunk({"content": text}, p="abcdefgh"),
        closing=[_chunk({"content": ""}, "stop", usage=_usage(), p="ab")],
    )


def _deepseek() -> Dialect:
    usage = _usage(prompt_cache_hit_tokens=0, prompt_cache_miss_tokens=9)
    return Dialect(
        "DeepSeek",
        opening=[_chunk({"role": "assistant", "content": None, "reasoning_content": ""})],
        thought=lambda text: _chunk({"content": None, "reasoning_content": text}, None, {"logprobs": None}),
        piece=lambda text: _chunk({"content": text, "reasoning_content": None}, None, {"logprobs": None}),
        closing=[_chunk({"content": "", "reasoning_content": None}, "stop", usage=usage)],
    )


def _openrouter() -> Dialect:
    def chunk(content: str, reasoning: str | None = None, finish: str | None = None, **more: object) -> JsonObject:
        details = [{"type": "reasoning.text", "text": reasoning, "index": 0}] if reasoning else []
        delta: JsonObject = {"role": "assistant", "content": content, "reasoning": reasoning}
        delta["reasoning_details"] = details
        return _chunk(delta, finish, {"native_finish_reason": finish, "logprobs": None}, provider="X", **more)

    return Dialect(
        "OpenRouter",
        thought=lambda text: chunk("", text),
        piece=chunk,
        closing=[chunk("", finish="stop"), chunk("", usage=_usage(cost=0.00014, cost_details={"upstream": None}))],
        beat=b": OPENROUTER PROCESSING\n\n",
    )


DIALECTS = [
    _openai(),
    _azure(),
    _vllm(),
    _sglang(),
    _ollama(),
    _llama_cpp(),
    _tgi(),
    _litellm(),
    _mistral(),
    _deepseek(),
    _openrouter(),
]
