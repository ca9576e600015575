"""Loading the language-model provider that the setting `PARLOR_LLM__PROVIDER` names."""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

from parlor.clock import Clock
from parlor.llm.ports import ChatModel
from parlor.settings import LLM_PROVIDERS, LlmSettings


class ChatModelFactory(Protocol):
    """Makes the ``ChatModel`` of a process. Raises ``ValueError`` for settings that it cannot work with."""

    def __call__(self, settings: LlmSettings, api_key: str, clock: Clock, /) -> ChatModel: ...


class ProviderError(ValueError):
    """The provider cannot be loaded; the message names it and says why."""


def load_provider(name: str) -> ChatModelFactory:
    """Returns the factory of a built-in provider, or the one at ``package.module:factory``. Raises
    ``ProviderError``."""
    module, _, attribute = LLM_PROVIDERS.get(name, name).partition(":")
    try:
        found: object = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ProviderError(f"The language-model provider {name} cannot be loaded: {error}") from error
    if not callable(found):
        raise ProviderError(f"The language-model provider {name} is not a factory: it cannot be called")
    return cast("ChatModelFactory", found)
