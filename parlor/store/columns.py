"""The columns of a message, in one table.

Everything that names all of them follows from it: the JSON that the procedures take and the rows that come back
(``rows``), SQLite's statements (``sqlite_messages``), and the MySQL procedures (``templates`` writes them from
``sql/templates``). The tables themselves are migrations. A new column is a line here, a migration of each dialect that
gives it a default or allows NULL (the previous release inserts rows without it), and a run of
``python -m parlor.store.templates``.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

import msgspec

from parlor.model.rooms import RoomRow


class Kind(Enum):
    """What a column holds."""

    ID = "id"
    """36 characters in JSON, 16 bytes in a row."""
    INTEGER = "integer"
    WORD = "word"
    """One of a few words: an enum of ``parlor.model``."""
    NAME = "name"
    """A text of 255 characters at most."""
    JSON = "json"
    """JSON as text, so that it comes back as it was."""
    TEXT = "text"
    """A text of any length."""


class Column(msgspec.Struct, frozen=True):
    """One column of ``messages`` and ``message_versions``."""

    name: str
    kind: Kind
    nullable: bool = False
    field: str = ""
    """Where a ``MessageDoc`` has it, when its name there is another one: ``usage.input_tokens``."""
    erased: str = ""
    """What a delete writes into it, as SQL; empty when the value stays."""


Columns: TypeAlias = tuple[Column, ...]

ROOM_ID = Column("room_id", Kind.ID)
SEQ = Column("seq", Kind.INTEGER)
KEY = (ROOM_ID, SEQ)
"""The primary key: where a message is, not what it says."""

DOC_COLUMNS: Columns = (
    Column("message_id", Kind.ID),
    Column("sender_type", Kind.WORD),
    Column("content", Kind.TEXT, erased="''"),
    Column("sent_at", Kind.INTEGER, field="timestamp"),
    Column("version", Kind.INTEGER),
    Column("attempt", Kind.INTEGER),
    Column("ai_persona", Kind.NAME, nullable=True),
    Column("parent_message_id", Kind.ID, nullable=True),
    Column("finish_reason", Kind.WORD, nullable=True),
    Column("input_tokens", Kind.INTEGER, nullable=True, field="usage.input_tokens"),
    Column("output_tokens", Kind.INTEGER, nullable=True, field="usage.output_tokens"),
    Column("error_code", Kind.NAME, nullable=True),
    Column("error_detail", Kind.TEXT, nullable=True, erased="NULL"),
    Column("metadata", Kind.JSON, erased="'{}'"),
    Column("parts", Kind.JSON, nullable=True, erased="NULL"),
)
"""What a message says, in the order in which rows are read."""

FULL_ROOM = RoomRow.__struct_fields__
"""A room's columns, in the order in which rows are read."""
LISTED_ROOM = FULL_ROOM[: FULL_ROOM.index("summary")]
"""Those that a list of rooms reads: all but the summary's."""
