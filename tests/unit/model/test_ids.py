"""Ids sort by time and carry their partition."""

from __future__ import annotations

from uuid import NAMESPACE_URL, UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlor.clock import SystemClock, SystemEntropy
from parlor.model.ids import MAX_PARTITIONS, Claim, IdMint, Partition, RoomId, home_of, partition_of
from tests.unit.fake_clock import NOW_MS, FakeClock, SeededEntropy

pytestmark = pytest.mark.unit

partitions = st.integers(0, MAX_PARTITIONS - 1).map(Partition)


class Ones:
    """All bits set: whatever is not masked shows."""

    def bits(self, count: int) -> int:
        return (1 << count) - 1


def minted(partition: Partition, at: int = NOW_MS) -> str:
    clock = FakeClock()
    clock.ms = at
    return IdMint(clock, Ones()).room_id(partition)


def test_the_layout_is_that_of_a_uuid_of_version_8() -> None:
    value = UUID(minted(Partition(0xABC), at=0x0123456789AB)).int
    assert value >> 80 == 0x0123456789AB
    assert value >> 76 & 0xF == 8
    assert value >> 64 & 0xFFF == 0xABC
    assert value >> 62 & 0b11 == 0b10
    assert value & (1 << 62) - 1 == (1 << 62) - 1
    assert minted(Partition(0xABC), at=0x0123456789AB) == "01234567-89ab-8abc-bfff-ffffffffffff"


@given(partition=partitions, at=st.integers(0, 2**48 - 1), seed=st.integers(0, 100))
def test_an_id_carries_its_partition_and_its_time(partition: Partition, at: int, seed: int) -> None:
    clock = FakeClock()
    clock.ms = at
    mint = IdMint(clock, SeededEntropy(seed))
    for identifier in (mint.room_id(partition), mint.message_id(partition)):
        parsed = UUID(identifier)
        assert (parsed.version, parsed.variant) == (8, "specified in RFC 4122")
        assert partition_of(identifier) == partition
        assert home_of(RoomId(identifier)) == partition
        assert parsed.int >> 80 == at


@given(partition=partitions, other=partitions, early=st.integers(0, 2**48 - 2), late=st.integers(0, 2**48 - 1))
def test_later_ids_sort_later(partition: Partition, other: Partition, early: int, late: int) -> None:
    if early == late:
        late += 1
    early, late = sorted((early, late))
    assert minted(partition, early) < minted(other, late)


@given(st.text(max_size=40))
def test_any_text_is_no_id_or_the_one_spelling_of_it(text: str) -> None:
    found = partition_of(text)
    assert found is None or (str(UUID(text)) == text and UUID(text).version == 8)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not an id",
        "9f1c3b6a-7d0e-4c52-8a43-0d6e5f7a1b2c",  # version 4
        str(uuid5(NAMESPACE_URL, "x")),
        minted(Partition(1)).upper(),
        minted(Partition(1)).replace("-", ""),
        "{" + minted(Partition(1)) + "}",
        "urn:uuid:" + minted(Partition(1)),
        " " + minted(Partition(1)),
        minted(Partition(1)) + "\n",
    ],
)
def test_another_spelling_is_no_id(text: str) -> None:
    assert partition_of(text) is None


def test_ids_and_tokens_do_not_repeat() -> None:
    mint = IdMint(SystemClock(), SystemEntropy())
    ids = {mint.message_id(Partition(7)) for _ in range(2000)}
    tokens = {mint.token() for _ in range(2000)}
    assert (len(ids), len(tokens)) == (2000, 2000)
    assert all(len(token) == 32 and int(token, 16) >= 0 for token in tokens)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=50))
def test_the_generator_gives_as_many_bits_as_asked_for(counts: list[int]) -> None:
    entropy = SystemEntropy()
    assert all(0 <= entropy.bits(count) < 1 << count for count in counts)


def test_the_generators_bits_are_not_biased() -> None:
    entropy = SystemEntropy()
    ones = sum(entropy.bits(62).bit_count() for _ in range(5000))
    # 310,000 coin throws: 2,500 away from the half is nine standard deviations.
    assert abs(ones - 155_000) < 2500


def test_time_goes_on_and_pauses_end() -> None:
    clock = SystemClock()
    assert abs(clock.now_ms() - clock.now_ms()) < 1000
    assert clock.monotonic() <= clock.monotonic()


async def test_a_pause_takes_as_long_as_it_should() -> None:
    clock = SystemClock()
    began = clock.monotonic()
    await clock.sleep(0.01)
    assert clock.monotonic() - began >= 0.009


def test_claims_are_minted_and_never_empty() -> None:
    mint = IdMint(SystemClock(), SystemEntropy())
    assert len({mint.claim() for _ in range(2000)}) == 2000
    with pytest.raises(ValueError, match="token"):
        Claim("")
