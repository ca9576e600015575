"""What a language model is shown of files."""

from __future__ import annotations

import pytest
from msgspec import structs

from parlor.errors import StoreUnavailable
from parlor.files import contents, pdf
from parlor.files.contents import FileContents
from parlor.files.pdf import PdfUnreadable, text_of_pdf
from parlor.llm.memory import Memory
from parlor.llm.ports import Persona, PromptTurn
from parlor.llm.tokens import IMAGE_TOKENS, estimate_tokens
from parlor.model.files import Attached, File, PromptImage, ShownFile
from parlor.model.messages import Message
from parlor.model.parts import FilePart, ImagePart, Part, TextPart, said_of
from parlor.model.requests import ReplyMode, SendRequest
from parlor.rooms.room import Room
from parlor.settings.uploads import FileSettings
from tests import sample_files
from tests.unit.domain import Domain
from tests.unit.files.test_files import put

pytestmark = pytest.mark.unit

PERSONA = Persona("P", "", "", "Be brief.", "m")


def part_of(file: File) -> FilePart | ImagePart:
    kind = ImagePart if file.media_type.startswith("image/") else FilePart
    return kind(file.file_id, file.name, file.media_type, file.size)


@pytest.fixture
def reader(domain: Domain) -> FileContents:
    return FileContents(domain.file_rows, domain.file_store, domain.store.shard_of, domain.settings.files)


@pytest.fixture
async def room(domain: Domain) -> Room:
    return await domain.opened()


async def asked(domain: Domain, room: Room, *parts: Part) -> Message:
    said = said_of(parts)
    request = SendRequest(said.content, parts=said.parts, reply=ReplyMode.NONE)
    command = structs.replace(domain.send_command(room.room_id), request=request, reply_id=None)
    return (await domain.do_send(room, command)).message


async def load(
    domain: Domain, reader: FileContents, room: Room, data: bytes, name: str, tokens: int = 1000
) -> Attached:
    file = await put(domain, domain.ada, data, name)
    return await reader.load(await asked(domain, room, TextPart("Look"), part_of(file)), tokens)


@pytest.mark.parametrize("name", ["notes.txt", "a.md", "t.csv", "d.json", "main.py"])
async def test_a_text_is_shown_whole(domain: Domain, reader: FileContents, room: Room, name: str) -> None:
    found = await load(domain, reader, room, "\ufeffGrüße\n".encode(), name)
    assert found.text == f"[File: {name}]\nGrüße\n\n[End of {name}]"
    (shown,) = found.files
    assert structs.replace(shown, file_id="") == ShownFile("", name, "whole", 6, 6)


async def test_a_long_text_is_cut_and_the_model_is_told(domain: Domain, reader: FileContents, room: Room) -> None:
    found = await load(domain, reader, room, b"word " * 1000, "long.txt", tokens=100)
    head, *_ = found.text.splitlines()
    assert head == "[File: long.txt, its first 400 characters of 5000]"
    assert estimate_tokens(found.text) < 140
    assert [(file.state, file.shown, file.characters) for file in found.files] == [("cut", 400, 5000)]


async def test_the_files_of_a_message_share_the_budget(domain: Domain, reader: FileContents, room: Room) -> None:
    files = [await put(domain, domain.ada, b"%d" % number * 300, f"{number}.txt") for number in range(3)]
    message = await asked(domain, room, *map(part_of, files))
    found = await reader.load(message, 120)
    assert [file.state for file in found.files] == ["whole", "cut", "cut"]
    assert found.files[2].shown == 0


async def test_an_image_is_shown_as_it_is(domain: Domain, reader: FileContents, room: Room) -> None:
    data = sample_files.png()
    found = await load(domain, reader, room, data, "dot.png")
    assert found.images == (PromptImage("image/png", data),)
    assert found.text == "[Image: dot.png]"


async def test_the_text_of_a_pdf_is_taken_out_once(
    domain: Domain, reader: FileContents, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = await put(domain, domain.ada, sample_files.pdf("Hello one", "Hello two"), "paper.pdf")
    message = await asked(domain, room, part_of(file))
    found = await reader.load(message, 1000)
    assert "Hello one" in found.text
    assert "Hello two" in found.text
    monkeypatch.setattr(contents, "text_of_pdf", None)
    assert await reader.load(message, 1000) == found


@pytest.mark.parametrize("document", [b"%PDF-1.7\nnothing", b"", sample_files.pdf("x")[:200]])
async def test_a_broken_pdf_is_said(document: bytes) -> None:
    with pytest.raises(PdfUnreadable, match="cannot be read"):
        await text_of_pdf(document)


async def test_a_pdf_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "SECONDS_MAX", 0.001)
    with pytest.raises(PdfUnreadable, match="too long"):
        await text_of_pdf(sample_files.pdf("x"))


async def test_what_cannot_be_shown_is_said(domain: Domain, room: Room) -> None:
    settings = FileSettings(image_max=100)
    reader = FileContents(domain.file_rows, domain.file_store, domain.store.shard_of, settings)
    for data, name, why in (
        (sample_files.pdf(""), "empty.pdf", "there is no text in it"),
        (b" \n", "blank.txt", "there is no text in it"),
        (b"%PDF-1.7\nnothing", "broken.pdf", "its text cannot be read"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "large.png", "it is too large to be shown"),
    ):
        found = await load(domain, reader, room, data, name)
        assert f"{name} (" in found.text
        assert found.text.endswith(f": {why}]")
        assert ([file.state for file in found.files], found.images) == (["unreadable"], ())


@pytest.mark.parametrize("what", ["the row", "the bytes"])
async def test_a_file_that_is_gone_is_said_not_skipped(
    domain: Domain, reader: FileContents, room: Room, what: str
) -> None:
    file = await put(domain, domain.ada, b"hello", "notes.txt")
    message = await asked(domain, room, part_of(file))
    if what == "the row":
        await domain.files.delete(domain.ada, file.file_id)
    else:
        domain.file_store.kept.clear()
    found = await reader.load(message, 1000)
    assert found.text == "[File: notes.txt: it was deleted, and its content is not there any more]"
    assert [file.state for file in found.files] == ["gone"]


async def test_a_store_that_is_away_is_not_taken_for_a_file_that_is_gone(
    domain: Domain, reader: FileContents, room: Room
) -> None:
    message = await asked(domain, room, part_of(await put(domain, domain.ada)))
    domain.file_store.down = True
    with pytest.raises(StoreUnavailable):
        await reader.load(message, 1000)


def memory(domain: Domain, reader: FileContents, tokens: int) -> Memory:
    return Memory(domain.internal_history, domain.memories, tokens, 100, reader)


async def test_a_prompt_has_the_files_behind_what_was_said(domain: Domain, reader: FileContents, room: Room) -> None:
    text = await put(domain, domain.ada, b"hello", "a.txt")
    image = await put(domain, domain.ada, sample_files.png(), "b.png")
    await asked(domain, room, TextPart("Look"), part_of(text), part_of(image))
    context = await memory(domain, reader, 8000).build_prompt(room.room_id, PERSONA)
    content = "Look\n\n[File: a.txt]\nhello\n[End of a.txt]\n\n[Image: b.png]"
    images = (PromptImage("image/png", sample_files.png()),)
    assert context.turns == [PromptTurn("system", "Be brief."), PromptTurn("user", content, images=images)]
    assert [file.state for file in context.files] == ["whole", "whole"]
    assert context.estimated_tokens > IMAGE_TOKENS


async def test_an_image_alone_is_a_question(domain: Domain, reader: FileContents, room: Room) -> None:
    await asked(domain, room, part_of(await put(domain, domain.ada, sample_files.png(), "b.png")))
    (_, question) = (await memory(domain, reader, 8000).build_prompt(room.room_id, PERSONA)).turns
    assert (question.content, len(question.images)) == ("[Image: b.png]", 1)


async def test_texts_take_half_of_the_budget_and_old_ones_leave_the_prompt(
    domain: Domain, reader: FileContents, room: Room
) -> None:
    for number in range(3):
        file = await put(domain, domain.ada, b"%d word" % number * 2000, f"{number}.txt")
        await asked(domain, room, TextPart(f"Question {number}"), part_of(file))
    context = await memory(domain, reader, 1000).build_prompt(room.room_id, PERSONA)
    text = "\n".join(turn.content for turn in context.turns)
    assert ("Question 2" in text, "Question 0" in text) == (True, False)
    assert context.estimated_tokens <= 1000
    assert [file.state for file in context.files] == ["cut"]


async def test_without_a_reader_files_are_named(domain: Domain, room: Room) -> None:
    file = await put(domain, domain.ada, b"hello", "a.txt")
    await asked(domain, room, TextPart("Look"), part_of(file))
    plain = Memory(domain.internal_history, domain.memories, 8000, 100)
    assert (await plain.build_prompt(room.room_id, PERSONA)).turns[-1].content == "Look\n\n[File: a.txt]"
