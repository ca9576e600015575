"""`parlor sign-in`: a link that signs an account in on the page, or on that of operators, once, within a minute.

The session that it gives is signed here, where the private keys are. It waits in Redis, sealed with the link's code.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from api.sign_in_codes import new_code, seal
from api.tokens import ACCOUNT_SCOPES, ADMIN
from parlor.cache.sign_in_codes import LIFETIME
from parlor.clock import SystemEntropy
from parlor.model.ids import AccountId
from parlor.settings import Settings
from parlor.wiring import Wiring
from parlor_cli.bearer import sign
from parlor_cli.installation import Installation
from parlor_cli.live_stores import ask, ask_with
from parlor_cli.options import present
from parlor_cli.refusal import Refusal

SECONDS = round(LIFETIME.total_seconds())
OPERATOR_TTL = timedelta(hours=12)
"""Longest life of a session that may do what operators do: a shift."""


def run(data_dir: Path, account: str, *, operator: bool = False) -> str:
    """Returns a new link to the page of the running installation, or of a cluster by its settings; ``operator``: to the
    operators' page, signed in for what they do. Raises ``Refusal``."""
    installation = Installation.find(data_dir)
    running = installation.running() if installation else None
    if running is not None and not running.ready:
        raise Refusal(f"{data_dir} is still starting")
    settings = present(installation)
    address = _address(settings, running.url if running else "")
    if not address:
        raise Refusal(f"nothing runs in {data_dir}, and PARLOR_API__PUBLIC_URL does not say where the page is")
    lifetime = settings.auth.session_ttl
    page, scopes = "", []
    if operator:
        page, scopes, lifetime = "admin", [*sorted(ACCOUNT_SCOPES), ADMIN], min(lifetime, OPERATOR_TTL)
    token = sign(settings, data_dir, account, lifetime, scopes)
    return f"{address}/{page}#code={ask(data_dir, lambda wiring: _keep(wiring, account, token))}"


def link(settings: Settings, url: str, data_dir: Path, account: str) -> str:
    """A new link to the page at ``url`` of an installation that has these settings. Raises ``Refusal``."""
    token = sign(settings, data_dir, account, settings.auth.session_ttl)
    return f"{_address(settings, url)}/#code={ask_with(settings, lambda wiring: _keep(wiring, account, token))}"


async def _keep(wiring: Wiring, account: str, token: str) -> str:
    """Returns a code that is good for the token."""
    row = await wiring.store.open_account(AccountId(account))
    code = new_code(row.partition, SystemEntropy())
    await wiring.sign_in_codes.keep(code, seal(code, row.account_id, token))
    return code


def _address(settings: Settings, url: str) -> str:
    return settings.api.public_url or url
