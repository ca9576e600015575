"""What the process of an actor begins with: the settings that hold, and what it says of itself.

Ray makes an actor's process again with the arguments that the actor was made with. `parlor upgrade` puts settings that
came later beside them, in Ray's own store (the GCS), where they live as long as the actors do.
"""

from __future__ import annotations

import os
import secrets

from ray.experimental.internal_kv import (
    _internal_kv_del,
    _internal_kv_get,
    _internal_kv_initialized,
    _internal_kv_put,
)

from actors.contracts import ActorStatus
from actors.handles import this_node
from parlor.model.ids import NO_CLUSTER, ClusterId
from parlor.model.release import COMPATIBILITY, digest, program_version
from parlor.settings import Settings

SPACE = b"parlor"
"""Of our keys in the GCS."""


class ActorProcess:
    """The settings of this process, and its part of every status."""

    def __init__(self, name: str, kind: str, settings_json: str, *, as_given: bool = False) -> None:
        """``as_given``: whatever an upgrade has set meanwhile."""
        self.name = name
        self._kind = kind
        made_with = Settings.model_validate_json(settings_json)
        later = None if as_given else latest_settings(made_with.ray.namespace)
        self.settings_json = later or settings_json
        self.settings = Settings.model_validate_json(self.settings_json)
        self.cluster = cluster_id(self.settings.ray.namespace)
        self._digest = digest(self.settings_json)
        # Now: later the files may be those of another version.
        self._version = program_version()

    def status(self, *, started: bool = True) -> ActorStatus:
        return ActorStatus(
            self.name,
            self._kind,
            os.getpid(),
            this_node(),
            True,
            started=started,
            version=self._version,
            settings=self._digest,
            compatibility=COMPATIBILITY,
        )


def cluster_id(namespace: str) -> ClusterId:
    """The installation's name for this Ray cluster: kept in its GCS, so another cluster has another one."""
    if not _internal_kv_initialized():  # type: ignore[no-untyped-call] # a process without Ray, as in unit tests
        return NO_CLUSTER
    key = f"cluster/{namespace}".encode()
    # Of several processes that are the first one, one has its way.
    _internal_kv_put(key, secrets.token_hex(6).encode(), overwrite=False, namespace=SPACE)
    return ClusterId(_internal_kv_get(key, namespace=SPACE).decode())


def latest_settings(namespace: str) -> str | None:
    """Those that an upgrade has set; None while there was none."""
    if not _internal_kv_initialized():  # type: ignore[no-untyped-call] # a process without Ray, as in unit tests
        return None
    found = _internal_kv_get(_key(namespace), namespace=SPACE)
    return found.decode() if found else None


def set_latest_settings(namespace: str, settings_json: str) -> None:
    """From now on, every actor's process begins with these."""
    _internal_kv_put(_key(namespace), settings_json.encode(), overwrite=True, namespace=SPACE)


def forget_latest_settings(namespace: str) -> None:
    """The next actors have the settings that they are made with."""
    _internal_kv_del(_key(namespace), namespace=SPACE)


def _key(namespace: str) -> bytes:
    return f"settings/{namespace}".encode()
