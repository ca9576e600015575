"""A user without a right: the start says which database it is, and which right."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from parlor.settings import Settings, StoreSettings
from parlor.store.addresses import MySqlAddress, parse_address
from parlor.store.mysql_pool import open_connection
from parlor_cli.migrate import apply
from parlor_cli.refusal import Refusal
from tests.servers import PrivateServer

pytestmark = pytest.mark.contract

PASSWORD = "hunter2"


async def user_with(mysql: PrivateServer, database: str, *rights: str) -> Settings:
    """Settings of a user who has these rights on a database of its own, and on its global one."""
    root = parse_address(mysql.url)
    assert isinstance(root, MySqlAddress)
    connection = await open_connection(root, connect_timeout=5, database=False)
    try:
        async with connection.cursor() as cursor:
            await cursor.execute(f"DROP USER IF EXISTS '{database}'@'localhost'")
            await cursor.execute(f"CREATE USER '{database}'@'localhost' IDENTIFIED BY '{PASSWORD}'")
            for name in (database, f"{database}_global"):
                await cursor.execute(f"CREATE DATABASE IF NOT EXISTS {name}")
                for right in rights:
                    await cursor.execute(f"GRANT {right} ON {name}.* TO '{database}'@'localhost'")
    finally:
        connection.close()
    query = urlsplit(mysql.url).query
    url = f"mysql://{database}:{PASSWORD}@localhost/{database}?{query}"
    return Settings(store=StoreSettings(urls=(SecretStr(url),), partitions=1))


def refusal(settings: Settings) -> str:
    with pytest.raises(Refusal) as caught:
        apply(settings, lambda _step: None)
    assert PASSWORD not in caught.value.message
    return caught.value.message


@pytest.mark.parametrize(
    ("name", "rights", "named"),
    [
        ("r_none", ["SELECT"], "CREATE command"),
        ("r_read", ["SELECT, CREATE"], "INSERT, UPDATE command"),
        ("r_tables", ["SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX"], "alter routine command"),
    ],
)
async def test_the_right_that_is_missing_is_named(
    mysql: PrivateServer, name: str, rights: list[str], named: str
) -> None:
    settings = await user_with(mysql, name, *rights)
    # The command has no event loop around it.
    message = await asyncio.to_thread(refusal, settings)
    assert message.startswith("a database cannot be used: ")
    assert all(text in message for text in (f"/{name}", f"denied to user '{name}'", named, "lacks a right: GRANT ALL"))


async def test_a_wrong_password_is_said_to_be_one(mysql: PrivateServer) -> None:
    settings = await user_with(mysql, "r_wrong", "ALL")
    url = settings.store.urls[0].get_secret_value().replace(PASSWORD, "wrong")
    wrong = Settings(store=StoreSettings(urls=(SecretStr(url),), partitions=1))
    message = await asyncio.to_thread(refusal, wrong)
    assert "Access denied for user 'r_wrong'" in message
    assert "it refuses the user or the password" in message
