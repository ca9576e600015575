"""Key names: one slot for each partition, and no two meanings for one name."""

from __future__ import annotations

import re

import pytest

from parlor.cache.keys import Keys
from parlor.model.ids import AccountId, Partition, RoomId

pytestmark = pytest.mark.unit

KEYS = Keys("parlor")
ROOM, ACCOUNT = RoomId("01977420-dc00-8001-a46d-d6122265b1f5"), AccountId("ada")


def of(partition: Partition) -> dict[str, str]:
    made = {name: getattr(KEYS, name)(partition) for name in ("partition", "lease", "queue", "dead", "generating")}
    rooms = ("room", "messages", "states", "open", "draft", "events")
    made |= {name: getattr(KEYS, name)(partition, ROOM) for name in rooms}
    made |= {name: getattr(KEYS, name)(partition, ACCOUNT) for name in ("account", "rooms", "account_events")}
    return made | {
        "idempotency": KEYS.idempotency(partition, ROOM, "k"),
        "ticket": KEYS.ticket(partition, "k"),
        "code": KEYS.code(partition, "k"),
        "creation": KEYS.creation(partition, ACCOUNT, "k"),
    }


def test_every_key_of_a_partition_has_its_hash_tag_and_nothing_else_in_braces() -> None:
    for name, key in of(Partition(17)).items():
        assert re.findall(r"\{[^}]*\}", key) == ["{p17}"], name
        assert key.startswith("parlor:{p17}:")


def test_no_two_kinds_of_keys_share_a_name() -> None:
    made = of(Partition(1))
    assert len(set(made.values())) == len(made)
    assert not set(made.values()) & set(of(Partition(11)).values())


def test_braces_in_an_account_do_not_move_its_keys_to_another_slot() -> None:
    # Redis hashes what is in the first pair of braces, and ours comes first.
    assert KEYS.account(Partition(3), AccountId("{p9}")).index("{p3}") < KEYS.account(
        Partition(3), AccountId("{p9}")
    ).index("{p9}")


def test_an_idempotency_key_is_bounded_whatever_the_client_sends() -> None:
    short, long = (KEYS.idempotency(Partition(1), ROOM, key) for key in ("k", "{p2}\r\n 🎉" * 50))
    assert len(short) == len(long)
    assert re.fullmatch(r"[a-z0-9:{}-]+", long)
    assert short != long


def test_prefixes_tell_installations_apart() -> None:
    assert Keys("other").queue(Partition(1)) == "other:{p1}:queue"
    assert Keys("other").session(ACCOUNT) == "other:session:ada"
