"""The replicas of the API, which Serve makes and nobody here has a handle of: each says once what it runs."""

from __future__ import annotations

import msgspec
from ray.experimental.internal_kv import (
    _internal_kv_del,
    _internal_kv_get,
    _internal_kv_initialized,
    _internal_kv_list,
    _internal_kv_put,
)
from ray.util import list_named_actors

from actors.contracts import ActorStatus
from actors.process import SPACE, ActorProcess

KIND = "ChatApi"
_SERVE = "serve"
"""The namespace of Serve's actors."""


def announce(settings_json: str, replica: str) -> None:
    """Writes down what this replica runs; in its constructor. ``replica`` is its full id in Serve, which is its actor's
    name."""
    process = ActorProcess(f"{KIND}-{replica.rpartition('#')[2]}", KIND, settings_json, as_given=True)
    key = _prefix(process.settings.ray.namespace) + replica.encode()
    _internal_kv_put(key, msgspec.json.encode(process.status()), overwrite=True, namespace=SPACE)


def announced(namespace: str) -> list[ActorStatus]:
    """What the replicas that there are have said; forgets the others. Blocks."""
    if not _internal_kv_initialized():  # type: ignore[no-untyped-call] # untyped in Ray
        return []
    records = list_named_actors(all_namespaces=True)
    there = {actor["name"] for actor in records if actor["namespace"] == _SERVE}  # records
    found = []
    for key in sorted(_internal_kv_list(_prefix(namespace), namespace=SPACE)):
        raw = _internal_kv_get(key, namespace=SPACE)
        if key.removeprefix(_prefix(namespace)).decode() not in there:
            _internal_kv_del(key, namespace=SPACE)
        elif raw:
            found.append(msgspec.json.decode(raw, type=ActorStatus))
    return found


def _prefix(namespace: str) -> bytes:
    return f"replica/{namespace}/".encode()
