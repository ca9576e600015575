"""Personas: the shipped file is valid, and errors in another one are reported exactly."""

from __future__ import annotations

from pathlib import Path

import pytest

from parlor.errors import InvalidRequest
from parlor.llm.personas import Personas, PersonasError, UnknownDefault, load_personas, parse_personas
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
    # Another model may answer: PARLOR_LLM__MODEL.
    assert not any("gpt" in (persona.title + persona.description).lower() for persona in personas)


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


def test_a_persona_says_what_becomes_of_reasoning() -> None:
    usual, other = (parse_personas(GOOD + more, "f")[0] for more in ("", "think_tags = false\nsend_reasoning = true\n"))
    assert (usual.think_tags, usual.send_reasoning) == (True, False)
    assert (other.think_tags, other.send_reasoning) == (False, True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("personas = 5", ["f:", "[[personas]]"]),
        ("", ["[[personas]]"]),
        (GOOD + '[extra]\nx = "y"', ["extra"]),
        ("x = 1\ny z", ["not valid TOML", "line 2"]),
        ("personas = [5]", ["entry 1 is 5"]),
        (GOOD.replace('title = "a"\n', ""), ["entry 1 (A)", "title"]),
        (GOOD + 'colour = "red"', ["entry 1 (A)", "colour"]),
        (GOOD + 'temprature = "hot"', ["entry 1 (A)", "field 'temprature'", "did you mean temperature?"]),
        (GOOD + 'temperature = "hot"', ["entry 1 (A)", "field 'temperature' is 'hot'", "float"]),
        (GOOD + "temperature = 3", ["field 'temperature' is 3", "2"]),
        (GOOD + "temperature = nan", ["field 'temperature' is nan"]),
        (GOOD + "max_tokens = 0", ["field 'max_tokens' is 0"]),
        (GOOD + "max_tokens = 99999999999999", ["field 'max_tokens' is 99999999999999"]),
        (GOOD.replace('"A"', '"A b"'), ["field 'name' is 'A b'"]),
        (GOOD.replace('"m"', '"gpt-4o\\n"'), ["field 'model' is 'gpt-4o\\n'"]),
        (GOOD.replace('"a"', '" a"'), ["field 'title' is ' a'"]),
        (GOOD.replace('"m"', f'"{"x" * 9999}"'), ["field 'model' is 'xxx", "xxx..."]),
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
    with pytest.raises(UnknownDefault, match=r"it has GPT4O, .*; did you mean CODER"):
        load_personas(LlmSettings(default_persona="CODE"))


def test_an_unknown_name_is_an_invalid_request_that_lists_the_names() -> None:
    personas = Personas(parse_personas(GOOD + GOOD.replace('"A"', '"B"'), "f"))
    assert [personas.named(persona.name) for persona in personas.listed()] == personas.listed()
    with pytest.raises(UnknownPersona) as caught:
        personas.named("C")
    assert isinstance(caught.value, InvalidRequest)
    assert caught.value.code == InvalidRequest.code
    problem = {"loc": ["body", "ai_persona"], "msg": "not a persona; there are A, B", "type": "persona"}
    assert caught.value.extra["errors"] == [problem]


def test_a_file_with_a_byte_order_mark_and_line_ends_of_windows_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load_personas(LlmSettings(personas_file=str(path), default_persona="A"))[0].model == "m"


def test_a_file_in_the_home_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.toml").write_text(GOOD)
    assert load_personas(LlmSettings(personas_file="~/mine.toml", default_persona="A"))


@pytest.mark.parametrize("content", [None, b"\xff"])
def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "mine.toml"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(PersonasError, match=r"mine\.toml: it cannot be read: (Is a directory|'utf-8' codec)"):
        load_personas(LlmSettings(personas_file=str(path)))
