"""The fields and the base classes of requests and responses (``api.schemas``)."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from parlor.llm.text import is_blank, one_line


def text_fault(text: str) -> str | None:
    """What in ``text`` the databases cannot store, or None."""
    if "\x00" in text:
        return "the character U+0000"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "half of a surrogate pair"
    return None


def _storable(text: str) -> str:
    fault = text_fault(text)
    if fault is not None:
        raise ValueError(f"{fault} is not allowed")
    return text


def _not_blank(text: str) -> str:
    if is_blank(text):
        raise ValueError("must not be blank")
    return text


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must have printable characters only")
    return text


def _day(value: object) -> date:
    # Pydantic's own parser also takes seconds since 1970 and times.
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        raise ValueError("must be a day as YYYY-MM-DD")
    return date.fromisoformat(value)


Content = Annotated[
    str, AfterValidator(_not_blank), AfterValidator(_storable), Field(description="At least one visible character")
]
Title = Annotated[
    str,
    AfterValidator(_storable),
    AfterValidator(one_line),
    AfterValidator(_not_blank),
    Field(
        description="One line with at least one visible character: control characters and line separators become "
        "blanks, bidirectional overrides and isolates are left out"
    ),
]
PersonaName = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_storable)]
EXTERNAL_ID_MAX = 128
ExternalId = Annotated[
    str, Field(min_length=1, max_length=EXTERNAL_ID_MAX, description="Printable characters"), AfterValidator(_printable)
]
Day = Annotated[date, BeforeValidator(_day), Field(description="`YYYY-MM-DD`, UTC")]
Timestamp = Annotated[
    str, Field(json_schema_extra={"format": "date-time"}, description="RFC 3339, UTC, milliseconds, `Z`")
]
ListCursor = Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_storable)]
Cursor = Annotated[str, Field(description="A position in an event log: the `id:` of an event, for `after=`")]


class _Query(BaseModel):
    """Parameters of a path or a query. Unknown ones are ignored: proxies and caches add their own."""

    model_config = ConfigDict(extra="ignore", frozen=True, use_attribute_docstrings=True)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class _Answer(_Body):
    """The top level of a JSON answer."""

    error_code: Annotated[Literal[0], Field(alias="errorCode", description="0: success")] = 0
