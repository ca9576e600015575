"""Sign-in links: a session for the account, sealed with a code that only the link has."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta

import jwt
import pytest

from api.sign_in_codes import unseal
from parlor.model.access import AccountRow, SealedSession
from parlor.model.ids import AccountId, Partition
from parlor.settings import Settings
from parlor_cli import sign_in
from parlor_cli.installation import Installation, RunFile
from parlor_cli.options import effective
from parlor_cli.processes import boot_id, reference
from parlor_cli.refusal import Refusal
from parlor_cli.summary import TOKEN_TTL, summary

pytestmark = pytest.mark.unit

URL = "http://127.0.0.1:1"


class FakeWiring:
    """Its own stores."""

    def __init__(self) -> None:
        self.store = self.sign_in_codes = self
        self.kept: dict[str, SealedSession] = {}

    async def open_account(self, account: AccountId) -> AccountRow:
        return AccountRow(account, 5, Partition(17))

    async def keep(self, code: str, session: SealedSession) -> None:
        self.kept[code] = session


@pytest.fixture
def wiring(monkeypatch: pytest.MonkeyPatch) -> FakeWiring:
    made = FakeWiring()

    def run(_: object, work: Callable[[FakeWiring], Awaitable[str]]) -> str:
        async def once() -> str:
            return await work(made)

        return asyncio.run(once())

    monkeypatch.setattr(sign_in, "ask", run)
    monkeypatch.setattr(sign_in, "ask_with", run)
    return made


@pytest.fixture
def running(home: Installation) -> Installation:
    home.write_run(RunFile(boot_id(), reference(os.getpid()), "", 0, ready=True, url=URL))
    home.write_settings(effective(home, {}).dump_secrets())
    return home


def session_of(link: str, wiring: FakeWiring, home: Installation) -> dict[str, object]:
    """The claims of the session that the link gives."""
    code = link.partition("#code=")[2]
    claims: dict[str, object] = jwt.decode(
        unseal(code, wiring.kept[code]), home.jwt_secret(), algorithms=["HS256"], audience="parlor-api"
    )
    return claims


def test_a_link_is_a_code_for_a_session_of_the_account(running: Installation, wiring: FakeWiring) -> None:
    link = sign_in.run(running.data_dir, "bob")
    assert link.startswith(f"{URL}/#code=17-")
    claims = session_of(link, wiring, running)
    assert claims["sub"] == "bob"
    assert float(str(claims["exp"])) - float(str(claims["iat"])) == pytest.approx(7 * 86_400, abs=1)
    assert sign_in.run(running.data_dir, "bob") != link


def test_a_link_for_an_operator_is_for_a_shift(running: Installation, wiring: FakeWiring) -> None:
    link = sign_in.run(running.data_dir, "olga", operator=True)
    assert link.startswith(f"{URL}/admin#code=17-")
    claims = session_of(link, wiring, running)
    assert set(str(claims["scope"]).split()) == {"read", "write", "admin"}
    assert float(str(claims["exp"])) - float(str(claims["iat"])) == pytest.approx(12 * 3600, abs=1)
    assert "scope" not in session_of(sign_in.run(running.data_dir, "olga"), wiring, running)


@pytest.mark.usefixtures("wiring")
def test_a_link_leads_to_where_browsers_reach_the_page(running: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLOR_API__PUBLIC_URL", "https://chat.example.org/")
    running.write_settings(effective(running, {}).dump_secrets())
    assert sign_in.run(running.data_dir, "bob").startswith("https://chat.example.org/#code=")


@pytest.mark.usefixtures("wiring")
@pytest.mark.parametrize("account", ["", " bob", "b\nb", "x" * 129])
def test_a_name_that_is_none_is_refused(running: Installation, account: str) -> None:
    with pytest.raises(Refusal, match="account name"):
        sign_in.run(running.data_dir, account)


def test_without_a_page_there_is_no_link(home: Installation) -> None:
    with pytest.raises(Refusal, match="nothing runs"):
        sign_in.run(home.data_dir, "bob")
    home.write_run(RunFile(boot_id(), reference(os.getpid()), "", 0))
    with pytest.raises(Refusal, match="starting"):
        sign_in.run(home.data_dir, "bob")


def test_a_start_prints_a_code_and_a_brief_token(running: Installation, wiring: FakeWiring) -> None:
    settings: Settings = effective(running, {})
    run = running.read_run()
    assert run is not None
    text = summary(settings, run, running, "as durable as it gets", demo=True)
    (link,) = (line.split()[2] for line in text.splitlines() if "Web page" in line)
    assert session_of(link, wiring, running)["sub"] == "ada"
    assert f"once, within 60 s; another link: parlor sign-in --data-dir {running.data_dir}" in text
    assert "#token=" not in text
    (token,) = (line.partition("TOKEN=")[2] for line in text.splitlines() if "TOKEN=e" in line)
    claims = jwt.decode(token, running.jwt_secret(), algorithms=["HS256"], audience="parlor-api")
    assert timedelta(seconds=claims["exp"] - claims["iat"]) <= TOKEN_TTL + timedelta(seconds=1)
