"""`parlor token`: a bearer token for an account."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cli.installation import Installation
from cli.options import present
from cli.refusal import Refusal


def issue_token(data_dir: Path, account: str, ttl: timedelta | None) -> str:
    """Signed with the running installation's secret, else with the one that the next start will use."""
    from api.tokens import issue

    if not data_dir.is_dir():
        raise Refusal(f"there is no data directory {data_dir}: `parlor up` makes it, or give --data-dir")
    try:
        return issue(present(Installation.found(data_dir)).auth, account, ttl, datetime.now(UTC))
    except ValueError as error:
        raise Refusal(str(error)) from error
