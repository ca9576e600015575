"""Values as people write them, and those that nobody meant."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import SecretStr, ValidationError

from parlor.settings import ApiSettings, AuthSettings, LlmSettings, QueueSettings, RoomSettings, StoreSettings
from parlor.settings.names import SECTIONS
from parlor.settings.values import duration

pytestmark = pytest.mark.unit

DURATIONS = [
    (section, field)
    for section, kind in SECTIONS.items()
    for field, info in kind.model_fields.items()
    if info.annotation is timedelta
]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7),
        ("0.25", 0.25),
        ("7s", 7),
        ("5m", 300),
        ("1h", 3600),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("1.5h", 5400),
        ("90 s", 90),
        ("250ms", 0.25),
        ("1m500ms", 60.5),
        ("2d", 172_800),
        ("5M", 300),
        (" 7s\n", 7),
    ],
)
def test_a_duration_is_read_as_people_write_it(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(
    ("given", "read"),
    [("1h30m", 5400), ("PT1H30M", 5400), ("PT5S", 5), (5, 5), (0.5, 0.5), (timedelta(minutes=1), 60)],
)
def test_a_time_limit_is_text_in_either_notation_or_a_number_of_seconds(given: object, read: float) -> None:
    assert LlmSettings.model_validate({"total_timeout": given}).total_timeout == timedelta(seconds=read)


NO_DURATIONS = [
    "",
    "soon",
    "7x",
    "7s7s",
    "7ss",
    "s",
    "1h-5m",
    "-7",
    "-7s",
    "-PT7S",
    "1e3",
    "7,5s",
    "nan",
    "inf",
    "9" * 400,
]


@pytest.mark.parametrize("text", NO_DURATIONS)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        LlmSettings.model_validate({"total_timeout": text})


@pytest.mark.parametrize("number", [float("nan"), float("inf"), True, [7], 10**400])
def test_what_is_no_number_of_seconds_is_refused(number: object) -> None:
    with pytest.raises(ValidationError):
        LlmSettings.model_validate({"total_timeout": number})


@pytest.mark.parametrize(("section", "field"), DURATIONS, ids=lambda name: name)
@pytest.mark.parametrize("given", ["-1s", "-PT0.001S", "100000000000000", "3651d", "P4000D"])
def test_every_duration_has_bounds(section: str, field: str, given: str) -> None:
    with pytest.raises(ValidationError):
        SECTIONS[section].model_validate({field: given})


def test_there_are_durations_to_bound() -> None:
    assert len(DURATIONS) > 25


@pytest.mark.parametrize(
    ("section", "field", "given"),
    [
        ("llm", "total_timeout", "0"),
        ("llm", "total_timeout", "25h"),
        ("queue", "batch_interval", "61m"),
        ("cache", "state_ttl", "999ms"),
        ("auth", "token_ttl", "0"),
    ],
)
def test_a_duration_is_refused_beyond_what_its_kind_allows(section: str, field: str, given: str) -> None:
    with pytest.raises(ValidationError):
        SECTIONS[section].model_validate({field: given})


@pytest.mark.parametrize("around", ["sk-1\n", "sk-1\r\n", "\ufeffsk-1", "\ufeffsk-1\r\n\r\n", "\nsk-1"])
def test_line_ends_and_byte_order_marks_of_a_file_are_no_part_of_a_value(around: str) -> None:
    llm = LlmSettings.model_validate({"api_key": around, "model": around.replace("sk-1", "llama3")})
    assert (llm.api_key.get_secret_value(), llm.model) == ("sk-1", "llama3")
    secret = "s" * 32
    assert AuthSettings.model_validate({"secret": f"{secret}\r\n"}).secret.get_secret_value() == secret
    url = StoreSettings.model_validate({"urls": ["mysql://h/a\n"]}).urls[0]
    assert url.get_secret_value() == "mysql://h/a"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (" llama3", "blanks around"),
        ("llama3\t", "blanks around"),
        ('"llama3"', "quotes around"),
        ("'llama3'", "quotes around"),
        ("lla\nma3", "'\\\\n'"),
        ("lla\u200bma3", "u200b"),
        ("lla\x00ma3", "x00"),
        ("lla\u202ema3", "u202e"),
    ],
)
def test_text_that_nobody_means_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        LlmSettings.model_validate({"model": text})
    with pytest.raises(ValidationError, match=why):
        AuthSettings.model_validate({"secret": text.replace("llama3", "s" * 32).replace("ma3", "s" * 32)})


@pytest.mark.parametrize("text", ["My model: v1", "gpt-4o", "o'clock", '"', "modèle"])
def test_other_text_is_taken_as_it_is(text: str) -> None:
    assert LlmSettings.model_validate({"model": text}).model == text


@pytest.mark.parametrize("key", ["sk 1", "Bearer sk-1", "sk-1\r\nX-Evil: 1", "sk-\u20131", '"sk-1"', "sk-\xa01"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(ValidationError) as caught:
        LlmSettings.model_validate({"api_key": key})
    assert "sk" not in caught.value.errors()[0]["msg"].replace("ask", "")


def test_a_signing_key_is_long_enough() -> None:
    with pytest.raises(ValidationError, match="31 bytes"):
        AuthSettings(secret=SecretStr("s" * 31))
    assert AuthSettings(secret=SecretStr("s" * 32))


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("", []),
        ("sqlite:///a", ["sqlite:///a"]),
        ('["sqlite:///a", "sqlite:///b"]', ["sqlite:///a", "sqlite:///b"]),
        (' ["sqlite:///a"]\n', ["sqlite:///a"]),
    ],
)
def test_a_list_is_json_or_its_one_value(text: str, urls: list[str]) -> None:
    read = StoreSettings.model_validate({"urls": text})
    assert [url.get_secret_value() for url in read.urls] == urls


@pytest.mark.parametrize("text", ['["sqlite:///a",]', "['sqlite:///a']", "[1]", "[null]", '{"a": "b"}'])
def test_a_list_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        StoreSettings.model_validate({"urls": text})


def test_limits_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValidationError, match="actors_min is 3, which is more than actors_max, 2"):
        RoomSettings(actors_min=3, actors_max=2)
    with pytest.raises(ValidationError, match="batch_size is 9, which is more than batch_limit, 8"):
        QueueSettings(batch_size=9, batch_limit=8)
    assert RoomSettings(actors_min=3).pool_limit >= 3


@pytest.mark.parametrize("host", ["http://0.0.0.0", "127.0.0.1/", "[::1]", "two words", ""])
def test_an_address_to_listen_on_is_a_host_alone(host: str) -> None:
    with pytest.raises(ValidationError):
        ApiSettings(host=host)
