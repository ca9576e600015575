"""Both stores, migrated once for the session; tests take accounts, rooms and partitions of their own."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from parlor.settings import StoreSettings
from parlor.store import sql_files
from parlor.store.migrations import migrate, open_store
from parlor.store.ports import ChatStore
from tests.contract.store.databases import NewSettings
from tests.contract.store.fixtures import PARTITIONS, StoreFixtures
from tests.servers import PrivateServer, Unavailable, mysql_server, running, short_directory, skip_or_fail

_names = itertools.count(1)
_both_fixtures = itertools.count(1)


@pytest.fixture(scope="session")
def mysql() -> Iterator[PrivateServer]:
    with short_directory() as directory:
        try:
            server = mysql_server(directory)
        except Unavailable as error:
            skip_or_fail(str(error))
        with running(server):
            yield server


@pytest.fixture(params=["sqlite", "mysql"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def new_settings(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., StoreSettings]:
    """Makes the settings of an installation that does not exist yet."""

    def make(shards: int = 2, partitions: int = PARTITIONS, **more: object) -> StoreSettings:
        name = f"t{next(_names)}"
        if engine == "sqlite":
            urls = [f"sqlite:///{tmp_path}/{name}_{shard}.db" for shard in range(1, shards + 1)]
        else:
            url: str = request.getfixturevalue("mysql").url
            urls = [url.replace("/parlor?", f"/{name}_{shard}?") for shard in range(1, shards + 1)]
        secrets = tuple(SecretStr(url) for url in urls)
        return StoreSettings.model_validate({"urls": secrets, "partitions": partitions, **more})

    return make


_migrated: dict[str, StoreSettings] = {}


@pytest.fixture(scope="session")
def sqlite_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sqlite")


@pytest.fixture
async def settings(engine: str, request: pytest.FixtureRequest, sqlite_home: Path) -> StoreSettings:
    """The session's installation: two shards, migrated."""
    if engine not in _migrated:
        if engine == "sqlite":
            urls = [f"sqlite:///{sqlite_home}/shard{shard}.db" for shard in (1, 2)]
        else:
            url: str = request.getfixturevalue("mysql").url
            urls = [url.replace("/parlor?", f"/parlor{shard}?") for shard in (1, 2)]
        made = StoreSettings(urls=tuple(SecretStr(url) for url in urls), partitions=PARTITIONS)
        await migrate(made)
        _migrated[engine] = made
    return _migrated[engine]


@pytest.fixture
async def store(settings: StoreSettings) -> AsyncIterator[ChatStore]:
    opened = await open_store(settings)
    yield opened
    await opened.close()


@pytest.fixture
async def fixtures(store: ChatStore) -> StoreFixtures:
    """A partition with a writer's epoch, an account in it, and short ways to write."""
    return await StoreFixtures.make(store, next(_both_fixtures))


@pytest.fixture
def own_sql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of ``sql/`` that a test may change."""
    folder = tmp_path / "sql"
    shutil.copytree(sql_files.sql_root(), folder)
    monkeypatch.setattr(sql_files, "sql_root", lambda: folder)
    return folder


@pytest.fixture
async def own(new_settings: NewSettings) -> StoreSettings:
    """Two new shards, migrated, that no other test has."""
    settings = new_settings(shards=2, partitions=4)
    await migrate(settings)
    return settings


@pytest.fixture
async def own_store(own: StoreSettings) -> AsyncIterator[ChatStore]:
    opened = await open_store(own)
    yield opened
    await opened.close()
