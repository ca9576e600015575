"""The arguments of a call: read strictly, written in one way, and digested.

Two programs that read the same bytes must see the same arguments, or one of them approves what the other does not do.
So only I-JSON is taken (RFC 7493: no name twice, no half of a surrogate pair, no number that a double cannot hold), and
it is written as RFC 8785 says. Those bytes are what is digested, kept, shown and sent.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from decimal import Decimal
from functools import lru_cache

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.exceptions import Unresolvable

from parlor.model.tools import Schema

INTEGER_MAX = 2**53 - 1
DEPTH_MAX = 32
_TOO_LARGE = "The arguments have an integer beyond 2^53, which programs read differently"
_EXPONENT = re.compile(r"e([+-])0*(\d+)$")


class ArgumentsError(ValueError):
    """Not arguments of the tool; the message tells the model why."""


def canonical_arguments(text: str, parameters: Schema) -> str:
    """Returns the arguments in their only form. Raises ``ArgumentsError``."""
    try:
        found = json.loads(text or "{}", object_pairs_hook=_object, parse_int=_integer, parse_constant=_constant)
        written = canonical(found)
    except ArgumentsError:
        raise
    except (ValueError, RecursionError) as error:
        raise ArgumentsError(f"The arguments are not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ArgumentsError("The arguments are not an object")
    # The registry knows nothing and fetches nothing: a schema may be a server's, and name any URL.
    try:
        problem = next(iter(Draft202012Validator(parameters, registry=Registry()).iter_errors(found)), None)
    except (Unresolvable, RecursionError, re.error) as error:
        raise ArgumentsError("The tool's schema cannot be used, so that the call cannot be checked") from error
    if problem is not None:
        raise ArgumentsError(f"The arguments do not fit: at {problem.json_path}: {problem.message[:500]}")
    return written


def digest_of(name: str, arguments: str) -> str:
    """The digest of a call: over the tool's name and the canonical bytes of its arguments."""
    return "sha256:" + hashlib.sha256(f"{canonical(name)}\n{arguments}".encode()).hexdigest()


def canonical(value: object, depth: int = DEPTH_MAX) -> str:
    """Writes a JSON value as RFC 8785 says. Raises ``ArgumentsError``."""
    if depth == 0:
        raise ArgumentsError(f"The arguments are nested more than {DEPTH_MAX} levels deep")
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _number(value)
        case str():
            return _text(value)
        case list():
            return f"[{','.join(canonical(each, depth - 1) for each in value)}]"
        case dict():
            # By UTF-16 code units, as RFC 8785 says.
            names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
            return f"{{{','.join(f'{_text(name)}:{canonical(value[name], depth - 1)}' for name in names)}}}"
    raise ArgumentsError(f"{type(value).__name__} is not JSON")


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ArgumentsError("The arguments have half of a surrogate pair") from None
    return json.dumps(text, ensure_ascii=False)


def _number(value: float) -> str:
    """As ECMAScript writes it."""
    if not math.isfinite(value):
        raise ArgumentsError("The arguments have a number that no double holds")
    if value == 0:
        return "0"
    if value.is_integer() and abs(value) < 1e21:
        if abs(value) > INTEGER_MAX:
            raise ArgumentsError(_TOO_LARGE)
        return str(int(value))
    if 1e-6 <= abs(value) < 1e-4:
        # Python turns to exponents earlier.
        return f"{Decimal(repr(value)):f}"
    return _EXPONENT.sub(lambda found: f"e{found[1]}{found[2]}", repr(value))


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ArgumentsError("The arguments have a name twice in one object")
    return found


@lru_cache(maxsize=256)
def _integer(text: str) -> int:
    value = int(text) if len(text) < 20 else INTEGER_MAX + 1
    if abs(value) > INTEGER_MAX:
        raise ArgumentsError(_TOO_LARGE)
    return value


def _constant(text: str) -> float:
    raise ArgumentsError(f"The arguments have {text}, which is not JSON")
