"""`parlor token`: a bearer token for an account."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from parlor_cli.configuration import load
from parlor_cli.installation import Installation
from parlor_cli.options import present
from parlor_cli.refusal import Refusal


def issue_token(data_dir: Path, account: str, ttl: timedelta | None) -> str:
    """Signed with the running installation's secret, else with the one that the next start will use. Without a data
    directory, with the secret that is configured (``PARLOR_AUTH__SECRET``): a cluster's."""
    from api.tokens import issue

    if data_dir.is_dir():
        auth = present(Installation.found(data_dir)).auth
    else:
        auth = load().auth
        if not auth.secret.get_secret_value():
            raise Refusal(f"there is no data directory {data_dir}: `parlor up` makes it, or give --data-dir")
    try:
        return issue(auth, account, ttl, datetime.now(UTC))
    except ValueError as error:
        raise Refusal(str(error)) from error
