"""Anthropic's and Ollama's answers and errors, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from api.openapi import Responses


class AnthropicUsageForm(BaseModel):
    input_tokens: int
    output_tokens: int


class AnthropicMessageForm(BaseModel):
    """The message."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[dict[str, Any]]
    stop_reason: Literal["end_turn", "max_tokens", "refusal", "tool_use"]
    stop_sequence: str | None
    usage: AnthropicUsageForm


class TokenCountForm(BaseModel):
    input_tokens: int


class AnthropicErrorDetail(BaseModel):
    type: str
    message: str


class AnthropicError(BaseModel):
    """An error as Anthropic writes it."""

    type: Literal["error"]
    error: AnthropicErrorDetail
    request_id: str


class OllamaMessageForm(BaseModel):
    role: Literal["assistant"]
    content: str


class OllamaChatForm(BaseModel):
    """The answer."""

    model: str
    created_at: str
    message: OllamaMessageForm
    done: bool
    done_reason: Literal["stop", "length", "content_filter"]
    prompt_eval_count: int
    eval_count: int


class OllamaModelForm(BaseModel):
    name: str
    model: str
    modified_at: str
    size: int
    digest: str
    details: dict[str, Any]


class OllamaModelListForm(BaseModel):
    models: list[OllamaModelForm]


class OllamaVersionForm(BaseModel):
    version: str


class OllamaError(BaseModel):
    """An error as Ollama writes it."""

    error: str


ANTHROPIC_REFUSALS: Responses = {
    "4XX": {"description": "Refused", "model": AnthropicError},
    "5XX": {"description": "A fault, not available now, or the language model failed", "model": AnthropicError},
}
OLLAMA_REFUSALS: Responses = {
    "4XX": {"description": "Refused", "model": OllamaError},
    "5XX": {"description": "A fault, not available now, or the language model failed", "model": OllamaError},
}
