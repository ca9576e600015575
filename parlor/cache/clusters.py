"""Ray clusters that serve one installation: which of them live, and commands that one leaves for another.

Nothing here decides who owns a room: that is its claim (I3). A cluster that is taken for dead while it lives loses
rooms, as an owner does that was not heard of in time, and no more.
"""

from __future__ import annotations

from parlor.cache.codes import Code, refusal
from parlor.cache.live import Live
from parlor.cache.records import text
from parlor.model.ids import ClusterId

ALIVE_MS = 6_000
"""How long a cluster counts as alive after its last sign of life. Its Supervisor gives them; one that dies is there
again within 4 s, on a busy machine too."""
CALL_MS = 5_000
"""Longest wait for an answer of another cluster."""
TAKEN_AT_ONCE = 64
_NONCE = 32
"""Characters of what ``IdMint.token`` makes."""


class ClusterCache:
    """Raises ``CacheUnavailable`` throughout."""

    def __init__(self, live: Live) -> None:
        self._live = live

    async def enlist(self, cluster: ClusterId) -> None:
        """Has the others know of it; harmless when they do."""
        await self._live.read("SADD", self._live.keys.clusters(), cluster)

    async def take(self, cluster: ClusterId) -> list[tuple[str, bytes]]:
        """Gives a sign of life, and takes the calls that others have left for the cluster: nonce and command."""
        keys = self._live.keys
        answer = await self._live.run(
            "take_calls",
            {"alive": keys.alive(cluster), "calls": keys.calls(cluster)},
            {"ttl": ALIVE_MS, "limit": TAKEN_AT_ONCE},
        )
        return [(text(call[:_NONCE]), call[_NONCE:]) for call in answer[1]]

    async def answer(self, cluster: ClusterId, nonce: str, answer: bytes) -> None:
        """Answers a call of another cluster, unless that has given up long ago."""
        await self._live.read("SET", self._live.keys.answer(cluster, nonce), answer, "XX", "PX", CALL_MS)

    async def leave(self, cluster: ClusterId) -> None:
        """The cluster takes no calls any more, and its rooms may be claimed."""
        keys = self._live.keys
        await self._live.read("DEL", keys.alive(cluster))
        await self._live.read("SREM", keys.clusters(), cluster)

    async def call(self, cluster: ClusterId, nonce: str, command: bytes) -> bool:
        """Leaves a command for another cluster; False when that gives no sign of life. ``nonce``: a token of
        ``IdMint``, for ``answer_to``."""
        keys = self._live.keys
        answer = await self._live.attempt(
            "call_cluster",
            {"alive": keys.alive(cluster), "calls": keys.calls(cluster), "answer": keys.answer(cluster, nonce)},
            {"nonce": nonce, "call": command, "ttl": CALL_MS},
        )
        return _lives(answer[0])

    async def answer_to(self, cluster: ClusterId, nonce: str) -> bytes | None:
        """The answer to a call; empty while it waits, None when the cluster died before it answered."""
        keys = self._live.keys
        answer = await self._live.attempt(
            "read_answer", {"alive": keys.alive(cluster), "answer": keys.answer(cluster, nonce)}, {}
        )
        return bytes(answer[1]) if _lives(answer[0]) else None

    async def lives(self, cluster: ClusterId) -> bool:
        return bool(await self._live.read("EXISTS", self._live.keys.alive(cluster)))

    async def others(self, cluster: ClusterId) -> list[ClusterId]:
        """The other clusters that live."""
        known = [ClusterId(text(name)) for name in await self._live.read("SMEMBERS", self._live.keys.clusters())]
        return sorted([one for one in known if one != cluster and await self.lives(one)])


def _lives(code: int) -> bool:
    """Raises the refusal that the code stands for, unless it says that the cluster gives no sign of life."""
    if code < 0 and code != Code.MISSING:
        raise refusal(code)
    return code >= 0
