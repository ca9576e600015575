"""Messages that name files: only what is there and the sender's own, and what they name stays."""

from __future__ import annotations

import pytest

from actors.gateway import ActorGateway
from parlor.errors import FileNotFound, InvalidRequest, ParlorError, RoomBusy, RoomNotFound, StoreUnavailable
from parlor.model.ids import FileId, RoomId
from parlor.model.messages import Message
from parlor.model.parts import FilePart, ImagePart, TextSpan
from parlor.model.requests import Idempotency, OnBusy, ReplyMode, SendReceipt, SendRequest
from tests import sample_files
from tests.unit.actors.cluster import Cluster
from tests.unit.domain import Domain, settle
from tests.unit.files.test_files import put

pytestmark = pytest.mark.unit


@pytest.fixture
def gateway(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> ActorGateway:
    return Cluster(domain, monkeypatch).gateway()


@pytest.fixture
async def room(domain: Domain) -> RoomId:
    await domain.loader.open_partition(domain.ada.partition)
    return await domain.new_room()


def request(*file_ids: str, image: bool = False, key: str | None = None) -> SendRequest:
    kind = ImagePart if image else FilePart
    parts = (TextSpan(4), *(kind(file_id, "", "", 0) for file_id in file_ids))
    idempotency = None if key is None else Idempotency(key, "digest")
    return SendRequest("Look", parts=parts, reply=ReplyMode.NONE, idempotency=idempotency)


async def send(domain: Domain, gateway: ActorGateway, room: RoomId, *file_ids: str) -> Message:
    return (await gateway.send_message(domain.ada, room, request(*file_ids))).message


async def gone(domain: Domain) -> set[FileId]:
    """What nobody names any more, once the writer has taken the deletes."""
    found: set[FileId] = set()
    while (released := await domain.file_rows.release_next(domain.ada.shard_id, 0)) is not None:
        found.add(released[0])
    left = {file.file_id for file in (await domain.files.page(domain.ada, 100, None)).files}
    return found - left


async def test_a_message_says_what_its_files_are(domain: Domain, gateway: ActorGateway, room: RoomId) -> None:
    text, image = await put(domain, domain.ada), await put(domain, domain.ada, sample_files.png(), "dot.png")
    message = await send(domain, gateway, room, text.file_id)
    assert message.parts is not None
    assert message.parts[1] == FilePart(text.file_id, "a.txt", "text/plain", 5)
    receipt = await gateway.send_message(domain.ada, room, request(image.file_id, image=True))
    assert receipt.message.parts is not None
    assert receipt.message.parts[1] == ImagePart(image.file_id, "dot.png", "image/png", image.size)
    twice = await send(domain, gateway, room, text.file_id, text.file_id)
    assert len(twice.parts or ()) == 3


async def test_only_files_of_the_sender_can_be_named(domain: Domain, gateway: ActorGateway, room: RoomId) -> None:
    own, others = await put(domain, domain.ada), await put(domain, domain.session("eve"))
    for wrong in (others.file_id, "nonsense", str(domain.mint.file_id(domain.ada.partition))):
        with pytest.raises(FileNotFound):
            await send(domain, gateway, room, own.file_id, wrong)
    with pytest.raises(InvalidRequest, match="no image but text/plain"):
        await gateway.send_message(domain.ada, room, request(own.file_id, image=True))
    assert (await gateway.list_messages(domain.ada, room, 10, None, None)).messages == []
    await domain.files.delete(domain.ada, own.file_id)
    with pytest.raises(FileNotFound):
        await send(domain, gateway, room, own.file_id)


async def test_a_file_goes_with_the_last_message_that_names_it(
    domain: Domain, gateway: ActorGateway, room: RoomId
) -> None:
    file = await put(domain, domain.ada)
    first = await send(domain, gateway, room, file.file_id)
    second = await send(domain, gateway, room, file.file_id)
    await domain.write_all()
    await gateway.delete_message(domain.ada, room, first.message_id)
    await domain.write_all()
    assert await gone(domain) == set()
    await gateway.delete_message(domain.ada, room, second.message_id)
    await domain.write_all()
    assert await gone(domain) == {file.file_id}


@pytest.mark.parametrize("stored", [True, False])
async def test_files_go_with_their_room(domain: Domain, gateway: ActorGateway, room: RoomId, stored: bool) -> None:
    file = await put(domain, domain.ada)
    await send(domain, gateway, room, file.file_id)
    if stored:
        await domain.write_all()
    await gateway.delete_room(domain.ada, room)
    await domain.write_all()
    assert await gone(domain) == {file.file_id}


async def test_a_repeated_send_leaves_no_second_reference(domain: Domain, gateway: ActorGateway, room: RoomId) -> None:
    file = await put(domain, domain.ada)
    made: list[SendReceipt] = [
        await gateway.send_message(domain.ada, room, request(file.file_id, key="k")) for _ in range(3)
    ]
    assert [receipt.replayed for receipt in made] == [False, True, True]
    await gateway.delete_message(domain.ada, room, made[0].message.message_id)
    await domain.write_all()
    assert await gone(domain) == {file.file_id}


@pytest.mark.parametrize("refusal", [RoomNotFound, RoomBusy])
async def test_a_send_that_is_refused_leaves_no_reference(
    domain: Domain, gateway: ActorGateway, room: RoomId, refusal: type[ParlorError]
) -> None:
    file = await put(domain, domain.ada)
    kept = await send(domain, gateway, room, file.file_id)
    asked = request(file.file_id)
    if refusal is RoomBusy:
        await gateway.send_message(domain.ada, room, SendRequest("Hello"))
        await settle()
        asked = SendRequest("Look", parts=asked.parts, on_busy=OnBusy.REJECT)
    target = room if refusal is RoomBusy else domain.mint.room_id(domain.ada.partition)
    with pytest.raises(refusal):
        await gateway.send_message(domain.ada, target, asked)
    await gateway.delete_message(domain.ada, room, kept.message_id)
    await domain.write_all()
    assert await gone(domain) == {file.file_id}


async def test_a_shard_that_is_away_refuses_only_messages_with_files(
    domain: Domain, gateway: ActorGateway, room: RoomId
) -> None:
    file = await put(domain, domain.ada)
    await gateway.send_message(domain.ada, room, SendRequest("warm", reply=ReplyMode.NONE))
    domain.store.down = True
    with pytest.raises(StoreUnavailable):
        await send(domain, gateway, room, file.file_id)
    await gateway.send_message(domain.ada, room, SendRequest("Hello", reply=ReplyMode.NONE))
