"""What an operator can ask of a running installation."""

from __future__ import annotations

from datetime import date
from typing import Protocol

from parlor.cache.dead_letters import DeadLetter
from parlor.model.access import AccountRow, Deletion
from parlor.model.administration import AccountReport, Overview
from parlor.model.ids import AccountId
from parlor.store.account_limits import Changes


class Administration(Protocol):
    """Raises ``StoreUnavailable`` and ``CacheUnavailable`` throughout."""

    async def overview(self) -> Overview:
        """Raises ``Overloaded`` when the Supervisor does not answer."""

    async def accounts(self, limit: int, after: int) -> list[AccountRow]:
        """Returns accounts in the order in which they were first seen, from the one after the number ``after``."""

    async def account(self, account: AccountId, first: date, last: date) -> AccountReport:
        """Returns an account with its use of these days. Raises ``AccountNotFound``."""

    async def revoke(self, account: AccountId, not_before: int) -> None:
        """Ends what was issued to the account before that time. Raises ``AccountNotFound``."""

    async def set_disabled(self, account: AccountId, disabled: bool) -> None:
        """Shuts an account out, or lets it in again. Raises ``AccountNotFound``, also for a deleted one."""

    async def set_limits(self, account: AccountId, changes: Changes) -> None:
        """Changes what the account may use, within seconds everywhere; each value is one that its setting could have.
        Raises ``AccountNotFound``, also for a deleted one."""

    async def delete(self, account: AccountId) -> Deletion:
        """Shuts an account out for ever and has it deleted with everything that it has; returns the receipt, the first
        one when it is repeated. Raises ``AccountNotFound``."""

    async def dead_letters(self, limit: int, after: str | None) -> list[DeadLetter]:
        """Returns dead letters by partition and age, from the one after the id ``after``. Raises ``InvalidCursor``."""

    async def replay(self, dead_letter_id: str) -> None:
        """Puts it back into its queue. Raises ``DeadLetterNotFound`` and ``Overloaded``."""

    async def drop(self, dead_letter_id: str) -> str:
        """Gives it up; returns what became of what it was about. Raises ``DeadLetterNotFound`` and ``NotDropped``."""
