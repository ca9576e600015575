"""Personas: the shipped file is valid, and errors in another one are reported exactly."""

from __future__ import annotations

from pathlib import Path

import pytest

from parlor.errors import InvalidRequest
from parlor.llm.personas import Personas, PersonasError, load_personas, parse_personas
from parlor.llm.ports import UnknownPersona
from parlor.settings import LlmSettings

pytestmark = pytest.mark.unit

GOOD = '[[personas]]\nname = "A"\ntitle = "a"\nsystem_prompt = "p"\nmodel = "m"\n'


def test_the_shipped_file_has_the_default_persona_first() -> None:
    personas = load_personas(LlmSettings())
    assert personas[0].name == "GPT4O"
    assert personas[0].model == "gpt-4o"
    assert len(personas) >= 4
    assert all(persona.description and persona.system_prompt == persona.system_prompt.strip() for persona in personas)
    assert not any("\n" in persona.system_prompt for persona in personas)


def test_the_model_setting_overrides_every_entry() -> None:
    assert {persona.model for persona in load_personas(LlmSettings(model="llama3"))} == {"llama3"}


def test_a_file_of_ones_own_replaces_the_shipped_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    personas = load_personas(LlmSettings(personas_file=str(path), default_persona="A"))
    assert [persona.name for persona in personas] == ["A"]
    assert personas[0].temperature is None


def test_optional_fields_are_read() -> None:
    persona = parse_personas(GOOD + "temperature = 1\nmax_tokens = 50\n", "f")[0]
    assert (persona.temperature, persona.max_tokens) == (1.0, 50)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("personas = 5", ["f:", "[[personas]]"]),
        ("", ["[[personas]]"]),
        (GOOD + '[extra]\nx = "y"', ["extra"]),
        ("x = 1\ny z", ["not valid TOML", "line 2"]),
        ("personas = [5]", ["entry 1"]),
        (GOOD.replace('title = "a"\n', ""), ["entry 1 (A)", "title"]),
        (GOOD + 'colour = "red"', ["entry 1 (A)", "colour"]),
        (GOOD + 'temperature = "hot"', ["entry 1 (A)", "field 'temperature'", "float"]),
        (GOOD + "temperature = 3", ["field 'temperature'", "2"]),
        (GOOD + "max_tokens = 0", ["field 'max_tokens'"]),
        (GOOD.replace('"A"', '"A b"'), ["field 'name'"]),
        (GOOD.replace('"p"', '"  "'), ["entry 1 (A)", "field 'system_prompt'", "blank"]),
        (GOOD + GOOD, ["entry 2", "field 'name'", "already"]),
    ],
)
def test_a_bad_file_is_refused_with_entry_and_field(text: str, words: list[str]) -> None:
    with pytest.raises(PersonasError) as caught:
        parse_personas(text, "f")
    for word in words:
        assert word in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PersonasError, match=r"nowhere\.toml"):
        load_personas(LlmSettings(personas_file=str(tmp_path / "nowhere.toml")))


def test_a_default_persona_that_is_not_there_is_refused() -> None:
    with pytest.raises(PersonasError, match="NOBODY"):
        load_personas(LlmSettings(default_persona="NOBODY"))


def test_an_unknown_name_is_an_invalid_request_that_lists_the_names() -> None:
    personas = Personas(parse_personas(GOOD + GOOD.replace('"A"', '"B"'), "f"))
    assert [personas.named(persona.name) for persona in personas.listed()] == personas.listed()
    with pytest.raises(UnknownPersona) as caught:
        personas.named("C")
    assert isinstance(caught.value, InvalidRequest)
    assert caught.value.code == InvalidRequest.code
    problem = {"loc": ["body", "ai_persona"], "msg": "not a persona; there are A, B", "type": "persona"}
    assert caught.value.extra["errors"] == [problem]
