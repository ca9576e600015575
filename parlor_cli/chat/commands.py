"""What begins with a slash."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

from parlor_cli.chat.conversation import Command, Conversation, Leave

LISTED = 20


def show_help(chat: Conversation, _: str) -> None:
    """What there is"""
    chat.screen.table(("", ""), [(usage, command.__doc__ or "") for usage, command in COMMANDS.items()])
    chat.screen.note(
        "Enter sends, Alt-Enter begins a new line. Ctrl-C stops a reply. // begins a message with a slash."
    )


def rooms(chat: Conversation, which: str) -> None:
    """The newest rooms; with a number or an id: goes there"""
    if which and not which.isdecimal():
        chat.open(chat.client.get_room(which))
        return
    found = list(islice(chat.client.rooms(), LISTED))
    if not which:
        chat.screen.table(
            ("", "title", "persona", "messages"),
            [
                (str(number), room.title, room.ai_persona, str(room.message_count))
                for number, room in enumerate(found, 1)
            ],
        )
    elif 1 <= int(which) <= len(found):
        chat.open(found[int(which) - 1])
    else:
        chat.screen.problem(f"There is no room {which}.")


def new(chat: Conversation, title: str) -> None:
    """Begins a room, with a title if you give one"""
    chat.room = chat.client.create_room(title, ai_persona=chat.persona) if title else None
    chat.screen.note(f"New room: {title}" if title else "The next message begins a room.")


def rename(chat: Conversation, title: str) -> None:
    """Shows or changes the room's title"""
    if chat.room is None:
        chat.screen.note("There is no room yet.")
        return
    if title:
        chat.room = chat.client.update_room(chat.room.room_id, title=title)
    else:
        # The server gives a title of its own after the first reply.
        chat.room = chat.client.get_room(chat.room.room_id)
    chat.screen.note(chat.room.title)


def persona(chat: Conversation, name: str) -> None:
    """Shows who there is; with a name: who answers from now on"""
    known = {found.name.lower(): found for found in chat.client.personas()}
    if not name:
        chat.screen.table(("name", "", "model"), [(found.name, found.title, found.model) for found in known.values()])
    elif name.lower() not in known:
        chat.screen.problem(f"There is no persona {name}.")
    else:
        chat.persona = known[name.lower()].name
        if chat.room is not None:
            chat.room = chat.client.update_room(chat.room.room_id, ai_persona=chat.persona)
        chat.screen.note(f"{chat.persona} answers from now on.")


def regenerate(chat: Conversation, name: str) -> None:
    """The last reply again, by another persona if you name one"""
    reply = chat.last("AI")
    chat.follow(chat.client.regenerate(reply.room_id, reply.message_id, ai_persona=name or None))


def go_on(chat: Conversation, _: str) -> None:
    """Lets the last reply go on where it ended"""
    reply = chat.last("AI")
    chat.follow(chat.client.continue_reply(reply.room_id, reply.message_id))


def resume(chat: Conversation, _: str) -> None:
    """Follows the last reply, which goes on while you are away"""
    reply = chat.last("AI")
    chat.follow(chat.client.reply(reply.room_id, reply.message_id, attempt=reply.attempt))


def edit(chat: Conversation, text: str) -> None:
    """Changes your last message, and has it answered anew"""
    message = chat.last("USER")
    text = text or chat.prompt.ask(message.content)
    edited = chat.client.edit(message.room_id, message.message_id, text)
    if edited.reply is not None:
        reply = edited.reply
        chat.follow(chat.client.reply(reply.room_id, reply.message_id, cursor=edited.cursor, attempt=reply.attempt))


def file(chat: Conversation, path: str) -> None:
    """Uploads a file, which goes with the next message"""
    try:
        place = Path(path).expanduser()
        found = chat.client.upload(place.name, place.read_bytes())
    except OSError as error:
        chat.screen.problem(f"{path}: {error.strerror}")
    else:
        chat.files.append(found)
        chat.screen.note(f"{found.name} ({found.media_type}, {found.size} bytes) goes with the next message.")


def search(chat: Conversation, words: str) -> None:
    """Finds messages in all rooms"""
    found = list(islice(chat.client.search(words), LISTED)) if words else []
    if not found:
        chat.screen.note("Nothing found." if words else "Say what to look for.")
    for result in found:
        chat.screen.note(f"{result.timestamp:%Y-%m-%d %H:%M}  {result.room_id}  {result.snippet}")


def export(chat: Conversation, path: str) -> None:
    """Writes the room to a file, as Markdown or (.jsonl) as JSON lines"""
    if chat.room is None:
        chat.screen.note("There is no room yet.")
        return
    words = re.findall(r"[\w-]+", chat.room.title)
    name = path or f"{'-'.join(words) or 'room'}.md"
    text = chat.client.export(chat.room.room_id, "jsonl" if name.endswith(".jsonl") else "markdown")
    try:
        with Path(name).expanduser().open("x", encoding="utf-8") as target:
            target.write(text)
    except OSError as error:
        chat.screen.problem(f"{name}: {error.strerror}")
    else:
        chat.screen.note(f"Written to {name}.")


def leave(_: Conversation, __: str) -> None:
    """Leaves; the room stays"""
    raise Leave


COMMANDS: dict[str, Command] = {
    "/help": show_help,
    "/rooms [NUMBER|ID]": rooms,
    "/new [TITLE]": new,
    "/title [TITLE]": rename,
    "/persona [NAME]": persona,
    "/regenerate [PERSONA]": regenerate,
    "/continue": go_on,
    "/resume": resume,
    "/edit [TEXT]": edit,
    "/file PATH": file,
    "/search WORDS": search,
    "/export [FILE]": export,
    "/quit": leave,
}
NAMES = {usage.split()[0].removeprefix("/"): command for usage, command in COMMANDS.items()}


def find(name: str) -> Command | None:
    """The command, by its name or the beginning of it that no other one has."""
    if name in NAMES:
        return _safe(NAMES[name])
    fitting = [command for each, command in NAMES.items() if name and each.startswith(name)]
    return _safe(fitting[0]) if len(fitting) == 1 else None


def _safe(command: Command) -> Command:
    """Says that there is nothing to work on."""

    def run(chat: Conversation, rest: str) -> None:
        try:
            command(chat, rest)
        except LookupError:
            chat.screen.note("There is nothing to do that with yet.")

    return run
