"""Calls of tools in an answer, put together from what servers send of them.

The protocol says: an index in each piece, id and name in the first, arguments in all. Servers leave out the index, or
the id, or send the same index for parallel calls, repeat the name in each piece, or send the arguments as an object.
"""

from __future__ import annotations

import json

from parlor.model.tools import AskedCall

CALLS_MAX = 64
"""Parallel calls of one answer; further ones are left out."""
ARGUMENTS_MAX = 200_000
"""Characters of one call's arguments; it is not understood beyond that."""


class _Slot:
    def __init__(self, index: object, call_id: str) -> None:
        self.index = index
        self.call_id = call_id
        self.name = ""
        self.arguments = ""


class ToolCalls:
    """The calls of one answer so far."""

    def __init__(self) -> None:
        self._slots: list[_Slot] = []

    def __bool__(self) -> bool:
        return bool(self._slots)

    def take(self, told: object) -> bool:
        """Takes a delta's ``tool_calls``, whatever it is. Returns whether there was something in it."""
        pieces = told if isinstance(told, list) else [told]
        found = [piece for piece in pieces if isinstance(piece, dict)]
        for piece in found:
            self._take(piece)
        return bool(found)

    def calls(self) -> tuple[AskedCall, ...]:
        """Those that have a name, in order."""
        return tuple(AskedCall(slot.name, slot.arguments or "{}") for slot in self._slots if slot.name)

    def _take(self, piece: dict[str, object]) -> None:
        function = piece.get("function")
        function = function if isinstance(function, dict) else piece
        call_id, name = piece.get("id"), function.get("name")
        slot = self._slot(piece.get("index"), call_id if isinstance(call_id, str) else "", name)
        if slot is None:
            return
        if isinstance(name, str) and not slot.name:
            slot.name = name
        arguments = function.get("arguments")
        if isinstance(arguments, dict):
            arguments = json.dumps(arguments, ensure_ascii=False)
        if isinstance(arguments, str):
            slot.arguments = (slot.arguments + arguments)[: ARGUMENTS_MAX + 1]

    def _slot(self, index: object, call_id: str, name: object) -> _Slot | None:
        """The call that a piece belongs to, a new one if it is none's."""
        known = {"index": index} if index is not None else {"call_id": call_id} if call_id else None
        if known is None:
            last = self._slots[-1] if self._slots else None
            goes_on = last is not None and (not name or (name == last.name and not _is_json(last.arguments)))
            return last if goes_on else self._new(index, call_id)
        ((field, value),) = known.items()
        found = next((slot for slot in reversed(self._slots) if getattr(slot, field) == value), None)
        same = found is not None and (not call_id or found.call_id in ("", call_id))
        return found if same else self._new(index, call_id)

    def _new(self, index: object, call_id: str) -> _Slot | None:
        if len(self._slots) >= CALLS_MAX:
            return None
        self._slots.append(_Slot(index, call_id))
        return self._slots[-1]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
