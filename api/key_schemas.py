"""Requests and responses about API keys, as in ``api.schemas``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BeforeValidator, Field

from api.fields import ListCursor, Timestamp, Title, _Answer, _Body, _Query


def read_time(value: object) -> object:
    # Pydantic's own parser also takes numbers, and times without a zone or with a blank in the middle.
    if not isinstance(value, str):
        raise ValueError("must be a time of RFC 3339, such as 2027-01-31T12:00:00Z")  # noqa: TRY004 - pydantic's
    return datetime.fromisoformat(value)


KeyScope = Literal["read", "write"]


class ApiKeyCreateRequest(_Body):
    name: Annotated[Title, Field(min_length=1, max_length=200)]
    """What the key is for, on one line."""
    scopes: Annotated[list[KeyScope], Field(min_length=1, max_length=2)]
    """`read`: everything that changes nothing; `write`: everything else. Naming one twice is the same as once."""
    expires_at: Annotated[AwareDatetime, BeforeValidator(read_time)] | None = None
    """RFC 3339, in the future; without it the key does not expire."""


class ApiKeyListRequest(_Query):
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: ListCursor | None = None
    """`next_cursor` of the page before."""


class ApiKey(_Body):
    key_id: str
    name: str
    prefix: str
    """How the key begins."""
    scopes: list[KeyScope]
    created_at: Timestamp
    expires_at: Timestamp | None
    last_used_at: Timestamp | None
    """To the hour."""


class ApiKeyResponse(ApiKey, _Answer):
    key: str
    """The key itself; it is not shown again."""


class ApiKeyListResponse(_Answer):
    keys: list[ApiKey]
    next_cursor: str | None
