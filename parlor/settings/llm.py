"""Settings of the language model."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from parlor.settings.section import Section
from parlor.settings.urls import ApiUrl
from parlor.settings.values import ApiKey, HeaderName, Pause, Text, TimeLimit

OPENAI_URL = "https://api.openai.com/v1"
LLM_PROVIDERS = {"openai": "parlor.llm.upstream:Upstream"}
"""The built-in providers by name, each with where its factory is."""


class LlmSettings(Section):
    """The language model."""

    provider: Text = "openai"
    """Provider: `openai` for any server that speaks OpenAI's chat completions, or `package.module:factory` for one of
    your own."""
    api: Literal["chat_completions", "responses"] = "chat_completions"
    """What the provider `openai` speaks: chat completions, as every compatible server, or OpenAI's Responses API."""
    api_key: ApiKey = SecretStr("")
    """The provider's API key; `OPENAI_API_KEY` is read too."""
    base_url: ApiUrl = ""
    """URL of an OpenAI-compatible API. Empty: OpenAI's own when there is a key, else the demo model."""
    model: Text = ""
    """Model that replaces the model of every persona. Empty: each persona's own."""
    personas_file: Text = ""
    """A `personas.toml` of your own. Empty: the one that comes with Parlor."""
    default_persona: Text = "GPT4O"
    """Persona of a room that was created without one (specification)."""
    session_header: HeaderName = "x-session-id"
    """Request header that tells the server which room a prompt is of, by its id: routers of Ray Serve LLM and vLLM send
    those of one room to the replica that has their beginning in its cache. Empty: none."""
    connect_timeout: TimeLimit = timedelta(seconds=5)
    """Time limit of one connection attempt."""
    first_token_timeout: TimeLimit = timedelta(seconds=60)
    """Longest time from the request to the first token."""
    idle_timeout: TimeLimit = timedelta(seconds=30)
    """Longest time between two tokens."""
    total_timeout: TimeLimit = timedelta(seconds=600)
    """Time limit of one attempt."""
    delta_interval: Pause = timedelta(milliseconds=25)
    """Tokens of a reply that come within this time are one event; the first is sent at once."""
    reply_max: int = Field(default=200_000, ge=1, le=1_000_000)
    """Most characters of a reply: a longer one ends there, as `length`. A model that repeats itself never ends."""
    context_tokens: int = Field(default=8000, ge=256)
    """Token budget of the prompt: system prompt, summary, then the most recent turns that fit."""
    summaries: bool = True
    """Whether turns that no longer fit into the prompt are folded into a running summary by the language model."""
    summary_tokens: int = Field(default=800, ge=64)
    """Longest summary. It is part of the budget, and takes a quarter of it at most."""
    titles: bool = True
    """Whether the language model gives a room without a title one after its first turn. While it finds none, the room
    has the first words of the question."""

    @field_validator("provider")
    @classmethod
    def _known_provider(cls, value: str) -> str:
        if value not in LLM_PROVIDERS and not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", value):
            raise ValueError(
                f"there is no provider {value!r}; choose {', '.join(LLM_PROVIDERS)} or package.module:factory"
            )
        return value
