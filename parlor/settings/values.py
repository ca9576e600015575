"""Values as people write them: durations, text from a mounted file, keys, lists.

What nobody can see and nobody means (a byte order mark, the line end of a file that became a variable) is removed. What
somebody typed by mistake (quotes, blanks) is refused with what to do about it.
"""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, SecretStr, SerializationInfo

_SECONDS = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(d|h|ms|m|s) ?")
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")

SIGNING_KEY_MIN = 32
"""Bytes; RFC 7518 section 3.2: a key at least as long as the hash."""


def duration(value: object) -> object:
    """Reads text as seconds (``30``, ``0.5``), or as parts (``7s``, ``5m``, ``1h30m``, ``250ms``, ``2d``). ISO 8601
    (``PT30S``) and what is no text is left to pydantic, which takes numbers as seconds."""
    if not isinstance(value, str | bool):
        return value
    # pydantic would take True as one second.
    text = str(value).strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    if re.match(r"[+-]?P", text):
        return text
    parts = [(number, unit) for number, unit in _PART.findall(text.lower())]
    units = [unit for _, unit in parts]
    if not parts or _PART.sub("", text.lower()) or len(units) > len(set(units)):
        raise ValueError("not a duration: write seconds (30), or 250ms, 7s, 5m, 1h30m, 2d, or PT30S")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def without_line_ends(value: object) -> object:
    """Removes the byte order mark and the line ends that text from a file brings along."""
    return value.strip("\ufeff\r\n") if isinstance(value, str) else value


def bare(text: str) -> str:
    """Raises ``ValueError`` for quotes or blanks around the text, and for characters that cannot be seen."""
    if text != text.strip():
        raise ValueError("there are blanks around it: remove them")
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        raise ValueError("there are quotes around it, and they count as part of it: remove them")
    for number, character in enumerate(text, start=1):
        if not character.isprintable():
            raise ValueError(f"character {number} of it, {character!a}, cannot be seen: remove it")
    return text


def _bare_secret(value: SecretStr) -> SecretStr:
    bare(value.get_secret_value())
    return value


def _long_enough(value: SecretStr) -> SecretStr:
    length = len(value.get_secret_value().encode())
    if 0 < length < SIGNING_KEY_MIN:
        raise ValueError(f"it has {length} bytes; a signing key has {SIGNING_KEY_MIN} at least")
    return value


def _header_value(value: SecretStr) -> SecretStr:
    for number, character in enumerate(value.get_secret_value(), start=1):
        if not "!" <= character <= "~":
            raise ValueError(f"character {number} of it, {character!a}, cannot be in a key: copy the key again")
    return value


def _write_secret(value: SecretStr, info: SerializationInfo) -> str:
    context = info.context
    return value.get_secret_value() if isinstance(context, dict) and context.get("secrets") else str(value)


def listed(value: object) -> object:
    """Reads text as a JSON list, or as the one value of the list."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if not text.startswith("["):
        return [text] if text else []
    try:
        found: object = json.loads(text)
    except ValueError as error:
        raise ValueError(f'not a JSON list, such as ["a", "b"]: {error}') from error
    return found


def _names(value: object) -> object:
    """Reads text as names with commas between them, or as a JSON list."""
    if not isinstance(value, str) or value.strip().startswith("["):
        return listed(value)
    return [name.strip() for name in value.split(",") if name.strip()]


def _header_name(name: str) -> str:
    if not name:
        raise ValueError("empty is not the name of a header")
    return _header_name_or_none(name)


def _header_name_or_none(name: str) -> str:
    if name and not re.fullmatch(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", name):
        raise ValueError(f"{name!r} is not the name of a header")
    return name


Text = Annotated[str, BeforeValidator(without_line_ends), AfterValidator(bare)]
Secret = Annotated[
    SecretStr,
    BeforeValidator(without_line_ends),
    AfterValidator(_bare_secret),
    PlainSerializer(_write_secret, when_used="json"),
]
"""A secret that is masked wherever it is printed, except by ``Settings.dump_secrets``."""
ApiKey = Annotated[Secret, AfterValidator(_header_value)]
SigningKey = Annotated[Secret, AfterValidator(_long_enough)]

HeaderNames = Annotated[tuple[Annotated[str, AfterValidator(_header_name)], ...], BeforeValidator(_names)]
"""Names of request headers: several with commas, or as a JSON list."""
HeaderName = Annotated[Text, AfterValidator(_header_name_or_none)]
"""The name of a request header, or none."""

TimeLimit = Annotated[timedelta, Field(ge=timedelta(milliseconds=1), le=timedelta(days=1)), BeforeValidator(duration)]
"""What somebody or something waits for: it passes some time, and within a day."""
Pause = Annotated[timedelta, Field(ge=timedelta(0), le=timedelta(hours=1)), BeforeValidator(duration)]
"""As a time limit, but may be none at all."""
Lifetime = Annotated[timedelta, Field(ge=timedelta(seconds=1), le=timedelta(days=3650)), BeforeValidator(duration)]
"""How long something is kept: ten years at most, which Redis and a token's date can still hold."""
