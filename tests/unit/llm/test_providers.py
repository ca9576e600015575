"""The setting chooses the language model, including a custom provider; a wrong name is refused with the reason."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from parlor.errors import LlmError
from parlor.llm.ports import Completion, Context, PromptTurn, TextDelta
from parlor.llm.providers import ProviderError, load_provider
from parlor.llm.service import AIChatService
from parlor.llm.upstream import Upstream
from parlor.settings import LLM_PROVIDERS, LlmSettings
from parlor.wiring import Wiring
from tests.unit.domain import Domain
from tests.unit.llm.echo_model import EchoModel
from tests.unit.plain_settings import plain_settings

pytestmark = pytest.mark.unit

ECHO = "tests.unit.llm.echo_model:EchoModel"


def asking(text: str) -> Context:
    return Context([PromptTurn("system", "s"), PromptTurn("user", text)], 1, 0)


def service_of(domain: Domain, **llm: object) -> tuple[AIChatService, EchoModel]:
    """Returns a service, made from its settings as in a process."""
    settings = plain_settings(llm={"provider": ECHO, "api_key": "key", **llm})
    service = Wiring(settings, domain.store).chat_service()
    model = service._model
    assert isinstance(model, EchoModel)
    return service, model


async def chat(service: AIChatService, text: str) -> list[str]:
    parts = [part async for part in service.chat("GPT4O", asking(text))]
    assert isinstance(parts[-1], Completion)
    return [part.text for part in parts if isinstance(part, TextDelta)]


async def test_a_provider_of_ones_own_answers(domain: Domain) -> None:
    service, model = service_of(domain, model="mine")
    assert await chat(service, "one two") == ["one", "two"]
    ((persona, context),) = model.prompts
    assert (persona.name, persona.model, context.turns[-1].content) == ("GPT4O", "mine", "one two")
    assert (model.settings.provider, model.api_key) == (ECHO, "key")
    await service.close()
    assert model.closed


async def test_a_provider_s_failure_is_retried_only_when_it_says_that_it_can_pass(domain: Domain) -> None:
    service, model = service_of(domain)
    model.failures = [LlmError("later", extra={"retryable": True}, retry_after=0.0)]
    assert await chat(service, "again") == ["again"]
    model.failures = [LlmError("never"), LlmError("unused")]
    with pytest.raises(LlmError, match="never"):
        await chat(service, "no")
    assert len(model.prompts) == 3


def test_the_default_provider_speaks_openai_s_protocol() -> None:
    assert LlmSettings().provider == "openai"
    assert load_provider("openai") is Upstream


@pytest.mark.parametrize("name", sorted(LLM_PROVIDERS))
def test_every_built_in_provider_can_be_loaded(name: str) -> None:
    assert callable(load_provider(name))


@pytest.mark.parametrize("name", ["", "openia", "OpenAI", "module.factory", "a:b:c", "a b:c", ":factory", "module:"])
def test_an_unknown_name_is_refused_when_it_is_configured(name: str) -> None:
    with pytest.raises(ValidationError, match=r"there is no provider .*openai or package\.module:factory"):
        LlmSettings(provider=name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nowhere.model:Model", "No module named 'nowhere'"),
        ("tests.unit.llm.echo_model:Nothing", "has no attribute 'Nothing'"),
        ("tests.unit.llm.echo_model:NOT_A_FACTORY", "cannot be called"),
    ],
)
def test_a_provider_that_cannot_be_loaded_is_named_with_the_reason(name: str, why: str) -> None:
    assert LlmSettings(provider=name).provider == name
    with pytest.raises(ProviderError, match=name) as caught:
        load_provider(name)
    assert why in str(caught.value)
