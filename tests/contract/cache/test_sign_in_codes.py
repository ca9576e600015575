"""Sign-in codes: used once, in time, and by nobody who asked for another account."""

from __future__ import annotations

import asyncio

import pytest

from parlor.cache.sign_in_codes import LIFETIME, SignInCodes
from parlor.model.access import SealedSession
from parlor.model.ids import AccountId
from tests.contract.cache.fixtures import CacheFixtures

pytestmark = pytest.mark.contract

ADA, BOB = AccountId("ada"), AccountId('böb "{p9}"')


@pytest.fixture
def codes(fixtures: CacheFixtures) -> SignInCodes:
    # A code is used up by its first use, whoever makes it.
    fixtures.live.twice = False
    return SignInCodes(fixtures.live)


@pytest.fixture
def code(fixtures: CacheFixtures) -> str:
    return f"{fixtures.partition}-{fixtures.mint.token()}"


@pytest.mark.parametrize("account", [ADA, BOB])
@pytest.mark.parametrize("expecting", [True, False])
async def test_a_code_is_good_once(codes: SignInCodes, code: str, account: AccountId, expecting: bool) -> None:
    session = SealedSession(account, "sealed")
    await codes.keep(code, session)
    expected = account if expecting else None
    assert await codes.take(code, expected) == session
    assert await codes.take(code, expected) is None


async def test_of_many_who_use_a_code_one_gets_its_session(codes: SignInCodes, code: str) -> None:
    await codes.keep(code, SealedSession(ADA, "sealed"))
    taken = await asyncio.gather(*(codes.take(code, None) for _ in range(20)))
    assert [one for one in taken if one is not None] == [SealedSession(ADA, "sealed")]


async def test_a_code_of_another_account_is_not_used_up(codes: SignInCodes, code: str) -> None:
    session = SealedSession(BOB, "sealed")
    await codes.keep(code, session)
    for _ in range(2):
        assert await codes.take(code, ADA) == session
    assert await codes.take(code, BOB) == session
    assert await codes.take(code, BOB) is None


async def test_a_code_that_is_not_used_in_time_is_gone(fixtures: CacheFixtures, codes: SignInCodes, code: str) -> None:
    await codes.keep(code, SealedSession(ADA, "sealed"))
    key = fixtures.keys.code(fixtures.partition, code)
    assert 0 < await fixtures.redis.pttl(key) <= LIFETIME.total_seconds() * 1000
    await fixtures.redis.pexpire(key, 0)
    assert await codes.take(code, None) is None


async def test_what_was_never_made_is_good_for_nothing(fixtures: CacheFixtures, codes: SignInCodes, code: str) -> None:
    await codes.keep(code, SealedSession(ADA, "sealed"))
    partition, _, random = code.partition("-")
    for other in ("", "x", random, f"{partition}-{'0' * 32}", f"{int(partition) ^ 1}-{random}", f"{code} ", "9" * 99):
        assert await codes.take(other, None) is None
    assert random not in repr(await fixtures.redis.keys("*")), "who lists keys has no code"
    with pytest.raises(ValueError, match="a code is"):
        await codes.keep("x", SealedSession(ADA, "sealed"))
