"""`parlor token`: a bearer token for an account."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from parlor_cli.configuration import load
from parlor_cli.installation import Installation
from parlor_cli.options import present
from parlor_cli.refusal import Refusal


def issue_token(data_dir: Path, account: str, ttl: timedelta | None) -> str:
    """A token that is signed with the secret of the installation, which its next start uses too.

    Without a data directory, as in a cluster, the configured secret (``PARLOR_AUTH__SECRET``) signs it. Raises
    ``Refusal``.
    """
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
