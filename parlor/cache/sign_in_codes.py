"""One-time sign-in codes: a code is used once, within ``LIFETIME``, for the session that was left with it.

Redis writes what it is given to disk, and a session outlives its code by far: so it is sealed with the code before it
comes here, and the key's name is a digest. Who reads Redis or its files has no session.
"""

from __future__ import annotations

import re
from datetime import timedelta

import msgspec

from parlor.cache.codes import Code, refusal
from parlor.cache.live import Live, milliseconds
from parlor.model.access import SealedSession
from parlor.model.ids import AccountId, Partition

LIFETIME = timedelta(seconds=60)
_FORM = re.compile(r"([0-9]{1,4})-[0-9a-f]{32}")
"""The account's partition, which leads to the key, and 128 random bits."""


class SignInCodes:
    """Raises ``CacheUnavailable`` throughout."""

    def __init__(self, live: Live) -> None:
        self._live = live

    async def keep(self, code: str, session: SealedSession) -> None:
        """Makes the code good. Raises ``ValueError`` for one of another form."""
        keys = self._keys(code)
        if keys is None:
            raise ValueError("a code is a partition and 128 bits")
        value = {"account": session.account_id, "sealed": session.sealed}
        await self._live.run(
            "keep_code",
            keys,
            {"value": msgspec.json.encode(value), "lifetime": milliseconds(LIFETIME)},
        )

    async def take(self, code: str, expected: AccountId | None) -> SealedSession | None:
        """What the code is good for; None when it is good for nothing. One of another account than the expected one is
        not used up."""
        keys = self._keys(code)
        if keys is None:
            return None
        answer = await self._live.attempt("take_code", {"code": keys["code"]}, {"expected": expected or ""})
        if answer[0] == Code.MISSING:
            return None
        if answer[0] < 0:
            raise refusal(answer[0])
        value = msgspec.json.decode(answer[1], type=dict[str, str])
        return SealedSession(AccountId(value["account"]), value["sealed"])

    def _keys(self, code: str) -> dict[str, str] | None:
        found, keys = _FORM.fullmatch(code), self._live.keys
        if found is None:
            return None
        partition = Partition(int(found[1]))
        return {"partition": keys.partition(partition), "code": keys.code(partition, code)}
