"""A program of an earlier version, for ``test_wire``: run with the earlier code first on the path.

It reads a line with ``commands``, ``outcomes`` or ``settings`` and a base64 text, decodes the text as its own version
does, encodes it again, and answers with that. It may use only what the earlier version has.
"""

from __future__ import annotations

import base64
import sys

import parlor
from parlor.rooms.commands import decode_commands, decode_outcomes, encode_commands, encode_outcomes
from parlor.settings import Settings


def echo(kind: str, blob: bytes) -> bytes:
    match kind:
        case "commands":
            return encode_commands(decode_commands(blob))
        case "outcomes":
            return encode_outcomes(decode_outcomes(blob))
        case "settings":
            return Settings.model_validate_json(blob).dump_secrets().encode()
    raise ValueError(kind)


print(parlor.__file__, flush=True)
for line in sys.stdin:
    kind, text = line.split()
    print(base64.b64encode(echo(kind, base64.b64decode(text))).decode(), flush=True)
