"""What somebody reads who runs the servers: which one it is, and what it refuses; never a password."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from parlor.errors import CacheUnavailable, InternalError, InvalidRequest, ParlorError, StoreUnavailable
from parlor.settings import RedisSettings, Settings
from parlor_cli.server_errors import database_refusal, redis_refusal, server_refusal

pytestmark = pytest.mark.unit

REDIS = RedisSettings(url=SecretStr("rediss://parlor:hunter2@cache.internal:6379/0?ssl_ca_certs=/x"))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InvalidRequest("It refuses its user a right: XADD"), "It refuses its user a right: XADD"),
        (CacheUnavailable(debug="ConnectionError: refused"), "does not answer ConnectionError: refused"),
    ],
)
def test_a_redis_is_named_by_its_url(error: ParlorError, said: str) -> None:
    message = redis_refusal(REDIS, error).message
    assert message.startswith("Redis at rediss://parlor:***@cache.internal:6379/0 cannot be used: ")
    assert message.endswith(said)
    assert server_refusal(Settings(redis=REDIS), error).message == message or isinstance(error, InvalidRequest)


@pytest.mark.parametrize(
    ("debug", "advice"),
    [
        ("h:3306/parlor_1: (1142) CREATE command denied to user 'p'@'%' for table 'x'", "GRANT ALL"),
        ("h:3306/parlor_1: (1044) Access denied for user 'p'@'%' to database 'parlor_1'", "GRANT ALL"),
        ("h:3306/parlor_1: (1370) alter routine command denied to user 'p'@'%'", "GRANT ALL"),
        ("h:3306/parlor_1: (1419) You do not have the SUPER privilege and binary logging is enabled", "GRANT ALL"),
        ("h:3306/parlor_1: (1045) Access denied for user 'p'@'h' (using password: YES)", "the user or the password"),
        ("h:3306/parlor_1: (1146) Table 'parlor_1.installation' doesn't exist", "`parlor migrate`"),
        ("/data/global.db: no such table: installation", "`parlor migrate`"),
        ("h:3306/parlor_1: (2003) Can't connect to MySQL server on 'h'", "does not answer"),
    ],
)
def test_a_database_is_named_with_what_it_says_and_what_to_do(debug: str, advice: str) -> None:
    error = StoreUnavailable(debug=debug)
    message = database_refusal(error).message
    assert message.startswith(f"a database cannot be used: {debug}; ")
    assert advice in message
    assert server_refusal(Settings(), error).message == message


def test_keys_of_another_program_under_our_names_are_told_as_such() -> None:
    error = InternalError(debug="HMGET: WRONGTYPE Operation against a key holding the wrong kind of value")
    message = server_refusal(Settings(redis=REDIS), error).message
    assert message.startswith("Redis at rediss://parlor:***@cache.internal:6379/0 cannot be used: another program")
    assert "PARLOR_REDIS__PREFIX" in message


def test_another_error_is_told_as_it_is() -> None:
    assert database_refusal(InvalidRequest("Two of the databases are the same one")).message == (
        "a database cannot be used: Two of the databases are the same one"
    )
    assert server_refusal(Settings(), InvalidRequest("wrong", debug="why")).message == "wrong: why"
