"""OpenAI's answers and errors, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

Responses = dict[int | str, dict[str, Any]]


class ModelForm(BaseModel):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelListForm(BaseModel):
    object: Literal["list"]
    data: list[ModelForm]


class ChatCompletionMessageForm(BaseModel):
    role: Literal["assistant"]
    content: str | None
    tool_calls: list[dict[str, Any]] | None = None
    refusal: str | None


class ChatCompletionChoiceForm(BaseModel):
    index: int
    message: ChatCompletionMessageForm
    finish_reason: Literal["stop", "length", "content_filter", "tool_calls"]


class ChatCompletionUsageForm(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatCompletionForm(BaseModel):
    """The completion."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatCompletionChoiceForm]
    usage: ChatCompletionUsageForm | None


class ResponseForm(BaseModel):
    """The response; more of what was asked for comes with it."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["queued", "in_progress", "completed", "incomplete", "cancelled", "failed"]
    model: str
    output: list[dict[str, Any]]
    usage: dict[str, Any] | None
    error: dict[str, Any] | None
    store: bool


class DeletedForm(BaseModel):
    id: str
    object: str
    deleted: bool


class ConversationForm(BaseModel):
    id: str
    object: Literal["conversation"]
    created_at: int
    metadata: dict[str, str]


class ItemForm(BaseModel):
    """A message."""

    id: str
    type: Literal["message"]
    role: Literal["user", "assistant", "system"]
    status: Literal["in_progress", "completed", "incomplete"]
    content: list[dict[str, Any]]


class ItemListForm(BaseModel):
    object: Literal["list"]
    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool


class OpenAIErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIError(BaseModel):
    """An error as OpenAI writes it."""

    error: OpenAIErrorDetail


OPENAI_REFUSALS: Responses = {
    "4XX": {"description": "Refused: `param` says what of the request is wrong", "model": OpenAIError},
    "5XX": {"description": "A fault, not available now, or the language model failed", "model": OpenAIError},
}
"""The documented errors of every call."""
