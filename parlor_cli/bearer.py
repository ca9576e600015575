"""`parlor token`: a bearer token for an account."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from parlor.settings import Settings
from parlor_cli.installation import Installation
from parlor_cli.options import present
from parlor_cli.refusal import Refusal

FIRST_ACCOUNT = "ada"
"""The account that a start signs in on the page, and the one of README.md's first conversation."""


def issue_token(data_dir: Path, account: str, ttl: timedelta | None, scopes: Sequence[str] = ()) -> str:
    """Returns a token for the running installation, or for its next start.

    Without a data directory, as in a cluster, the configured keys sign it (``PARLOR_AUTH__KEYS_DIR``,
    ``PARLOR_AUTH__SECRET``). Raises ``Refusal``.
    """
    from api.tokens import ACCOUNT_SCOPES, ADMIN

    installation = Installation.find(data_dir)
    settings = present(installation)
    if installation is None and not settings.auth.secret.get_secret_value():
        raise Refusal(f"there is no installation in {data_dir}: `parlor up` makes it, or give --data-dir")
    if not set(scopes) <= {*ACCOUNT_SCOPES, ADMIN}:
        raise Refusal("a scope is read, write or admin")
    return sign(settings, data_dir, account, ttl, scopes)


def sign(
    settings: Settings, data_dir: Path, account: str, ttl: timedelta | None = None, scopes: Sequence[str] = ()
) -> str:
    """Returns a token that the newest key signs, or the secret while there is none. Raises ``Refusal``."""
    from api.tokens import issue
    from parlor_cli.signing_keys import folder_of, newest

    try:
        return issue(settings.auth, account, ttl, datetime.now(UTC), newest(folder_of(settings, data_dir)), scopes)
    except ValueError as error:
        raise Refusal(str(error)) from error
