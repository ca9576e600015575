"""Lua scripts as files with a header that is read, not only written.

A file ``<verb>_<noun>.lua`` begins with comment lines *What, KEYS, ARGV, Returns, Guarantees, Safe to repeat because*.
A script reads them by name, as ``K.name`` and ``A.name``, and ``MORE`` and ``REST`` for what a last name with a star
stands for; so it cannot mix up its arguments, and a caller who forgets one is told at once. The loader writes the
places in KEYS and ARGV and the numbers of codes into the source: tables of them would be built anew at each call, which
was a tenth of a send's script.
``--@include name`` puts in ``include/name.lua``, once. The tables of codes and of legal transitions are written in from
``codes.py`` and ``parlor/model/states.py``: they exist only there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from operator import itemgetter
from typing import Any

from parlor.cache.codes import Code
from parlor.model.cursors import EPOCH
from parlor.model.states import MESSAGE_TRANSITIONS, ROOM_TRANSITIONS, SENDABLE
from parlor.model.tools import TOOL_TRANSITIONS

HEADINGS = ("What", "KEYS", "ARGV", "Returns", "Guarantees", "Safe to repeat because")
_INCLUDE = re.compile(r"^--@include (\w+)$", re.MULTILINE)
_NAMED = re.compile(r"\b(K|A|CODE)\.(\w+)")

Argument = str | int | bytes
"""What a script takes; numbers travel as their decimal digits."""

UNGUARDED = frozenset(
    {
        "begin_batch",
        "call_cluster",
        "check_rights",
        "finish_batch",
        "forget_keys",
        "hold_lease",
        "init_partition",
        "own_partition",
        "park_entry",
        "read_answer",
        "release_lease",
        "renew_lease",
        "reopen_partition",
        "scan_keys",
        "take_calls",
    }
)
"""Scripts that a closed partition takes: those by which it is opened, and those that a lease guards. And those that
are about no partition."""


class Script:
    """One script, ready to be called: its source, its digest, and the order of its keys and arguments."""

    def __init__(
        self, name: str, source: str, keys: tuple[str, ...], more: bool, arguments: tuple[str, ...], rest: bool
    ) -> None:
        self.name = name
        self.source = source
        self.sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
        self.keys = keys
        self.more = more
        """Whether any number of keys may follow."""
        self.arguments = arguments
        self.rest = rest
        """Whether any number of arguments may follow."""
        self._pick_keys = _picker(keys)
        self._pick_arguments = _picker(arguments)

    def command(
        self,
        keys: Mapping[str, str],
        arguments: Mapping[str, Argument],
        rest: Sequence[Argument] = (),
        more: Sequence[str] = (),
    ) -> tuple[Argument, ...]:
        """EVALSHA's arguments. Raises ``TypeError`` when a key or an argument is missing or unknown."""
        if (rest and not self.rest) or (more and not self.more):
            raise TypeError(f"{self.name}.lua: takes no further {'keys' if more else 'arguments'}")
        try:
            picked_keys, picked_arguments = self._pick_keys(keys), self._pick_arguments(arguments)
        except KeyError:
            raise self._wrong(keys, arguments) from None
        # As many as are wanted, and each of those is there: none is unknown.
        if len(keys) != len(self.keys) or len(arguments) != len(self.arguments):
            raise self._wrong(keys, arguments)
        return (self.sha, len(self.keys) + len(more), *picked_keys, *more, *picked_arguments, *rest)

    def _wrong(self, keys: Mapping[str, str], arguments: Mapping[str, Argument]) -> TypeError:
        wrong = (keys.keys() ^ set(self.keys)) | (arguments.keys() ^ set(self.arguments))
        return TypeError(f"{self.name}.lua: {sorted(wrong)} missing or unknown")


def _picker(names: tuple[str, ...]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """Takes the values of these names out of a mapping, in order."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda values: tuple(values[name] for name in names)


def read_header(source: str) -> dict[str, str]:
    """The header's parts by heading; a part may go on over several comment lines."""
    parts: dict[str, str] = {}
    current = ""
    for line in source.splitlines():
        if not line.startswith("--") or line.startswith("--@"):
            break
        text = line[2:].strip()
        heading, colon, rest = text.partition(":")
        if colon and heading in HEADINGS:
            current = heading
            parts[current] = rest.strip()
        elif current:
            parts[current] += "\n" + text
    return parts


@cache
def load(name: str, replicated: bool = False) -> Script:
    """The script of this name. ``replicated``: for servers that may fail over. Then each script that ``UNGUARDED`` does
    not name refuses a closed partition, and takes the partition's key besides its own."""
    return build_script(files("parlor.cache") / "lua", name, replicated)


def build_script(folder: Traversable, name: str, replicated: bool = False) -> Script:
    """Makes a script of a file. Raises ``ValueError`` for an incomplete header or a missing include."""
    source = (folder / f"{name}.lua").read_text(encoding="utf-8")
    header = read_header(source)
    missing = [heading for heading in HEADINGS if heading not in header]
    if missing:
        raise ValueError(f"{name}.lua: the header lacks {missing}")
    keys, more = _names(header["KEYS"])
    arguments, rest = _names(header["ARGV"])
    if replicated and name not in UNGUARDED:
        source = "--@include require_open\n" + source
        keys = keys if "partition" in keys else (*keys, "partition")
    body = _with_includes(source, folder, name)
    # Only the tables that the script reads: they are built anew at each call.
    tables = [text for table, text in _tables(replicated).items() if table in body]
    parts = ["local KEYS, ARGV = KEYS, ARGV", *tables]
    if more:
        parts.append(f"local MORE = {{}}\nfor i = {len(keys) + 1}, #KEYS do MORE[#MORE + 1] = KEYS[i] end")
    if rest:
        parts.append(f"local REST = {{}}\nfor i = {len(arguments) + 1}, #ARGV do REST[#REST + 1] = ARGV[i] end")
    parts.append(_with_places(body, keys, arguments))
    return Script(name, "\n".join(parts), keys, more, arguments, rest)


def all_names() -> list[str]:
    """The names of all scripts."""
    folder = files("parlor.cache") / "lua"
    return sorted(entry.name.removesuffix(".lua") for entry in folder.iterdir() if entry.name.endswith(".lua"))


def _names(text: str) -> tuple[tuple[str, ...], bool]:
    """Names stand before the explanations: the lines up to the first that is a sentence. Also whether the last has a
    star, which is not among the names."""
    names: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if not all(re.fullmatch(r"\*?[a-z_]+", word) for word in words) or {"is", "and", "are"} & set(words):
            break
        names += words
    starred = bool(names) and names[-1].startswith("*")
    return tuple(names[:-1] if starred else names), starred


def _with_includes(source: str, folder: Traversable, name: str) -> str:
    seen: set[str] = set()

    def put_in(match: re.Match[str]) -> str:
        wanted = match[1]
        if wanted in seen:
            return ""
        seen.add(wanted)
        path = folder / "include" / f"{wanted}.lua"
        if not path.is_file():
            raise ValueError(f"{name}.lua includes {wanted}, which is not there")
        return _INCLUDE.sub(put_in, path.read_text(encoding="utf-8"))

    return _INCLUDE.sub(put_in, source)


def _with_places(body: str, keys: tuple[str, ...], arguments: tuple[str, ...]) -> str:
    """Raises ``ValueError`` for a code that is none. An include may have functions that this script does not call, with
    keys and arguments that it does not have."""
    places = {f"K.{name}": f"KEYS[{place}]" for place, name in enumerate(keys, 1)}
    places |= {f"A.{name}": f"ARGV[{place}]" for place, name in enumerate(arguments, 1)}

    def place(match: re.Match[str]) -> str:
        table, name = match.groups()
        if table != "CODE":
            return places.get(match[0], "nil")
        if name not in Code.__members__:
            raise ValueError(f"there is no code {name}")
        return str(Code[name].value)

    return _NAMED.sub(place, body)


@cache
def _tables(replicated: bool) -> dict[str, str]:
    """Lua source of each table that is written into the scripts."""

    def steps(table: Mapping[Any, frozenset[Any]]) -> str:
        return f"' {' '.join(sorted(f'{a}>{b}' for a, bs in table.items() for b in bs))} '"

    message, room, call = steps(MESSAGE_TRANSITIONS), steps(ROOM_TRANSITIONS), steps(TOOL_TRANSITIONS)
    return {
        "REPLICATED": f"local REPLICATED = {str(replicated).lower()}",
        "EPOCH": f"local EPOCH = {EPOCH}",
        # Texts, for nested tables would be built anew at each call, by scripts too that make no step.
        "is_legal": f"local LEGAL = {{message = {message}, room = {room}, call = {call}}}\n"
        "local function is_legal(kind, from, to)\n"
        "  return string.find(LEGAL[kind], ' ' .. from .. '>' .. to .. ' ', 1, true) ~= nil\nend",
        "SENDABLE": f"local SENDABLE = {{{', '.join(f'{state} = true' for state in sorted(SENDABLE))}}}",
    }
