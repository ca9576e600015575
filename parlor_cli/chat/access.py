"""Who talks to which Parlor: by address and token from the environment, or signed in by the data directory."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from parlor.client import Client
from parlor_cli.refusal import Refusal

URL, TOKEN = "PARLOR_URL", "PARLOR_TOKEN"
TOKEN_LIFETIME = timedelta(hours=1)
"""A longer chat gets a new one when it is refused."""


def open_client(data_dir: Path, account: str) -> Client:
    """A client of the server that the environment names, or of the installation that runs in ``data_dir``. Raises
    ``Refusal``."""
    url, token = os.environ.get(URL, ""), os.environ.get(TOKEN, "")
    try:
        if url:
            if not token:
                raise Refusal(f"{URL} is set, and {TOKEN} is not: it takes a token or an API key")
            return Client(url, token)
        return _local(data_dir, account)
    except ValueError as error:
        raise Refusal(str(error)) from error


def _local(data_dir: Path, account: str) -> Client:
    from parlor_cli.bearer import issue_token
    from parlor_cli.running import running

    found = running(data_dir)
    if found is None:
        raise Refusal(f"nothing runs in {data_dir}: `parlor up` starts it; or set {URL} and {TOKEN}")
    if not found[1].ready:
        raise Refusal(f"{data_dir} is still starting")
    return Client(found[1].url, lambda: issue_token(data_dir, account, TOKEN_LIFETIME))
