"""Bearer tokens of the tests' accounts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from api.tokens import issue
from parlor.settings import Settings
from tests.unit.fake_clock import NOW_MS

SECRET = "a-secret-of-more-than-thirty-two-bytes"


def token(
    settings: Settings, account: str = "alice", ttl: timedelta = timedelta(hours=1), scopes: Sequence[str] = ()
) -> str:
    return issue(settings.auth, account, ttl, datetime.fromtimestamp(NOW_MS / 1000, UTC), scopes=scopes)
