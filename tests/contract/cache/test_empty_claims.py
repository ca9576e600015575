"""Every script that takes a claim refuses an empty one and changes nothing (I3). The scripts are found by their
headers, so that none can be forgotten."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

import pytest

from parlor.cache.codes import Code
from parlor.cache.live import RoomAddress
from parlor.cache.loader import Argument, Script, all_names, build_script, load
from tests.contract.cache.fixtures import CLAIM_1, OURS, CacheFixtures

pytestmark = pytest.mark.contract

NAMES = [name for name in all_names() if "claim" in load(name).arguments]
OWNER = CLAIM_1
LUA = Path(str(files("parlor.cache"))) / "lua"


async def answer(fixtures: CacheFixtures, script: Script, address: RoomAddress, claim: str) -> int:
    """The code of a script that is called with this claim and, where it matters at all, sensible arguments."""
    keys = {**fixtures.live.room_keys(address, *fixtures.live._all_keys(address))}
    keys["idempotency"] = fixtures.keys.idempotency(address.partition, address.room_id, "k")
    known: dict[str, Argument] = {"room": address.room_id, "owner": address.account_id, "claim": claim, "ticket": 9}
    known |= {"event_ttl": 1000, "event_max": 1000, "installation": OURS}
    arguments = {name: known.get(name, 1) for name in script.arguments}
    found = await fixtures.pipeline.run(script, {name: keys[name] for name in script.keys}, arguments)
    return int(found[0])


async def lets_in(fixtures: CacheFixtures, script: Script, address: RoomAddress) -> bool:
    """Whether the script does anything, or says anything but that it is refused, for an empty claim."""
    before = await fixtures.dump()
    code = await answer(fixtures, script, address, "")
    return code != Code.FENCED or await fixtures.dump() != before


def test_there_are_scripts_that_take_a_claim() -> None:
    assert {"claim_room", "release_room", "append_turn", "delete_message", "set_summary"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("owned", [True, False], ids=["owned", "unowned"])
async def test_an_empty_claim_is_refused(fixtures: CacheFixtures, name: str, owned: bool) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0)
    if not owned:
        await fixtures.rooms.release(address, OWNER)
    assert not await lets_in(fixtures, load(name), address)


@pytest.mark.parametrize("name", NAMES)
async def test_it_is_the_claim_that_is_refused(fixtures: CacheFixtures, name: str) -> None:
    """The same call with the owner's claim is not fenced."""
    address = await fixtures.claimed()
    await fixtures.send(address, 0)
    assert await answer(fixtures, load(name), address, OWNER.token) != Code.FENCED


@pytest.mark.parametrize("name", [name for name in NAMES if "require_room" in (LUA / f"{name}.lua").read_text()])
async def test_a_fence_that_an_empty_claim_opens_would_be_found(
    fixtures: CacheFixtures, name: str, tmp_path: Path
) -> None:
    shutil.copytree(LUA, tmp_path / "lua")
    fence = tmp_path / "lua" / "include" / "require_room.lua"
    fence.write_text(fence.read_text().replace("A.claim == '' or held ~= A.claim", "A.claim ~= '' and held ~= A.claim"))
    address = await fixtures.claimed()
    await fixtures.send(address, 0)
    assert await lets_in(fixtures, build_script(tmp_path / "lua", name), address)
