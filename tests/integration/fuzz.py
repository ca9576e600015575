"""Requests made up from the OpenAPI document, against the running program, with ids of what is there.

``python -m tests.integration.fuzz --data-dir D --examples N --part 1/3`` makes them against an installation that runs
already; N of each call. Event streams are read up to their first bytes: they do not end.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.core.transport import Response
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from parlor_cli.bearer import issue_token
from tests.installation import Installation

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SECONDS = 30.0
"""Longest time of one call."""
BOTH = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


class Known(NamedTuple):
    """The credentials, and the ids of what is there."""

    user: dict[str, str]
    admin: dict[str, str]
    ids: dict[str, str]

    def headers(self, path: str) -> dict[str, str]:
        return self.admin if path.startswith("/v1/admin") else self.user


def prepare(installation: Installation, account: str) -> Known:
    """Makes a room with a message, a file, a key, and another account. Raises ``KeyError`` for an answer without an
    id."""
    other = f"{account}-other"
    user, admin, others = (
        {"Authorization": f"Bearer {issue_token(installation.data_dir, *each)}"}
        for each in ((account, None), (account, None, ["admin"]), (other, None))
    )

    def post(path: str, **body: Any) -> Any:
        return requests.post(f"{installation.base_url}{path}", headers=user, timeout=SECONDS, **body).json()

    room = post("/v1/rooms", json={"title": "Fuzzed"})["room_id"]
    message = post(f"/v1/rooms/{room}/messages", json={"content": "hello", "reply": "none"})["message"]["message_id"]
    file = post("/v1/files", files={"file": ("a.txt", b"text", "text/plain")})["file_id"]
    key = post("/v1/keys", json={"name": "fuzz", "scopes": ["read"]})["key_id"]
    requests.get(f"{installation.base_url}/v1/rooms", headers=others, timeout=SECONDS)
    ids = {"room_id": room, "message_id": message, "file_id": file, "key_id": key, "account_id": other, "id": room}
    return Known(user, admin, {**ids, "model": "GPT4O"})


def run(installation: Installation, account: str, examples: int, part: tuple[int, int] = (1, 1)) -> Counter[str]:
    """Returns how many requests there were of each call. Raises what a check raises."""
    # The OpenID issuer does not run: the way to it is 503.
    document = schemathesis.openapi.from_url(f"{installation.base_url}/openapi.json")
    schema = document.exclude(path_regex="/session/openid$")
    found = [one.ok() for one in schema.get_all_operations() if isinstance(one, Ok)]
    made: Counter[str] = Counter()
    for operation in sorted(found, key=lambda each: each.label)[part[0] - 1 :: part[1]]:
        known = prepare(installation, account)
        for mode, count in zip(BOTH, (examples - examples // 3, examples // 3), strict=True):
            _try(known, operation, mode, count, made)
    return made


def _try(known: Known, operation: Any, mode: GenerationMode, examples: int, made: Counter[str]) -> None:
    headers = known.headers(operation.path)

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), real=st.integers(0, 3))
    def answers_as_documented(case: schemathesis.Case[Any], real: int) -> None:
        # A generated id names nothing: most requests go to what is there.
        if real:
            case.path_parameters.update({name: known.ids.get(name, old) for name, old in case.path_parameters.items()})
        made[operation.label] += 1
        with _answer(case, headers) as answer:
            case.validate_response(answer, checks=CHECKS)

    # What takes no input cannot be asked wrongly.
    with contextlib.suppress(*([Unsatisfiable] if mode is GenerationMode.NEGATIVE else [])):
        answers_as_documented()


@contextlib.contextmanager
def _answer(case: schemathesis.Case[Any], headers: dict[str, str]) -> Iterator[Response]:
    given = case.as_transport_kwargs(headers=headers)
    with requests.request(**given, timeout=SECONDS, stream=True) as answer:
        streams = answer.headers.get("content-type", "").startswith("text/event-stream")
        if streams:
            # Its first bytes say that it is open; a turn's stream ends by itself.
            answer._content = next(answer.iter_content(1024), b"")
            assert answer._content, "the stream ended before it began"
        yield Response.from_requests(answer, verify=True)


def main(arguments: list[str], out: Callable[[str], object] = print) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.integration.fuzz", description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--part", default="1/1")
    given = parser.parse_args(arguments)
    number, parts = map(int, given.part.split("/"))
    began = time.monotonic()
    made = run(Installation("embedded", given.data_dir.absolute()), "fuzzer", given.examples, (number, parts))
    out(f"{made.total()} requests of {len(made)} calls in {time.monotonic() - began:.0f} s, all as documented")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
