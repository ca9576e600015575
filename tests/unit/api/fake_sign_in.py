"""Sign-in codes in memory, and whose installation it is."""

from __future__ import annotations

from parlor.model.access import SealedSession
from parlor.model.ids import AccountId, InstallationId

INSTALLATION = InstallationId("5b6f2f0e-7d0b-4c1e-9a51-0d6f1c7b8a90")


class FakeSignIn:
    """Part of the fake gateway."""

    def __init__(self) -> None:
        self.codes: dict[str, SealedSession] = {}

    async def take_sign_in_code(self, code: str, expected: AccountId | None) -> SealedSession | None:
        found = self.codes.get(code)
        kept = found is None or expected not in (None, found.account_id)
        return found if kept else self.codes.pop(code)

    async def installation(self) -> InstallationId:
        return INSTALLATION
