"""fakeredis servers that share one Lua interpreter, which compiles each script once.

By itself fakeredis makes an interpreter for each server, compiles the script anew for each call and collects the
interpreter's garbage after it: a third of the unit tests' time. A server keeps nothing in its interpreter: keys and
arguments are set for each call, and a script that leaves a global is refused.
"""

from __future__ import annotations

import copy
import itertools
from functools import cache
from typing import Any

from fakeredis import FakeRedis, FakeServer

from parlor.cache.loader import Script, load

_SHARED = "_lua_"
"""How the names begin of what fakeredis remembers of a server's interpreter (2.40). Called otherwise one day, servers
have their own again, and tests are only slower."""
_RUNTIME = "_lua_runtime"
_COLLECT = "collectgarbage()"
_ASKED = "redis.call('INFO', 'replication')"
_INFO = "server-info"


class _Interpreter:
    """An interpreter with a memory for scripts."""

    def __init__(self, interpreter: Any) -> None:
        self._interpreter = interpreter
        self._compiled: dict[bytes, Any] = {}

    def execute(self, script: bytes | str) -> Any:
        if isinstance(script, str):
            # Lua collects by itself, as it goes.
            return None if script == _COLLECT else self._interpreter.execute(script)
        if (run := self._compiled.get(script)) is None:
            run = self._compiled[script] = self._interpreter.compile(script)
        return run()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._interpreter, name)


@cache
def _shared() -> dict[str, Any]:
    server = FakeServer()
    # The first script of a server makes its interpreter.
    FakeRedis(server=server).eval("return 1", 0)
    found = {name: value for name, value in vars(server).items() if name.startswith(_SHARED)}
    return {name: _Interpreter(value) if name == _RUNTIME else value for name, value in found.items()}


def fake_server() -> FakeServer:
    """An empty one."""
    server = FakeServer()
    vars(server).update(_shared())
    return server


@cache
def load_for_fakes(name: str, replicated: bool = False) -> Script:
    """Loads a script for a fake server: fakeredis has no INFO, so scripts read what it would say from a key."""
    found = load(name, replicated)
    source = found.source.replace(_ASKED, f"redis.call('GET', '{_INFO}')")
    return Script(name, source, found.keys, found.more, found.arguments, found.rest)


class FakeReplica:
    """What a replica has of a fake server, which it becomes when the server fails over."""

    def __init__(self, server: FakeServer) -> None:
        self._client = FakeRedis(server=server)
        self._database = server.dbs[0]
        self._histories = itertools.count(1)
        self._begin_history()
        self.replicate()

    def replicate(self) -> None:
        """It has everything so far, and hears no more."""
        self._had = copy.deepcopy(self._database._dict)

    def fail_over(self) -> None:
        """From now on the server has what the replica had, and is one of another history."""
        self._database._dict = copy.deepcopy(self._had)
        self._begin_history()

    def _begin_history(self) -> None:
        about = f"role:master\r\nmaster_replid:{next(self._histories):040x}"
        self._client.set(_INFO, about)
