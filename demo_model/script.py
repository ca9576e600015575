"""What the demo model says and how it misbehaves: its directives, its default answer, its tokens. Pure.

**Grammar.** A directive block stands anywhere in the last user message::

    [[tokens=50 delay=20ms first=100ms]]
    [[fail=429 retry_after=1 times=1]]
    [[fail_after=3 fail_as=cut text=the rest of the block is the answer]]

``[[`` key ``=`` value, more pairs after white space, ``]]``. A block that does not begin with a known key is ordinary
text; a known block with an unknown key or a bad value is answered with HTTP 400. Several blocks: the later one wins.
Durations: ``20ms``, ``1.5s``, or a bare number of milliseconds.

==============  ======================================================================================
``text=``       the answer, up to the end of the block (so it has to come last)
``tokens=N``    an answer of N filler words
``stamp=1``     with ``tokens``: each word is the time at which it is sent, in unix milliseconds (for measuring delays)
``echo=1``      the answer is the request's own JSON: what the model was given to read
``first=D``     time before the first token
``delay=D``     time between two tokens
``finish=R``    the finish reason: ``stop``, ``length``, ``content_filter``, ...
``fail=S``      HTTP status S, 400 to 599, instead of an answer
``retry_after=S``  seconds, sent as ``Retry-After`` with ``fail``
``fail_after=N``   the answer breaks after N tokens, as ``fail_as`` says: ``error`` (default, an error object in the
                stream), ``cut`` (the connection is closed), ``end`` (a tidy end without finish reason or [DONE])
``hang=1``      nothing comes, not even headers, until the client goes away
``hang_after=N``   the same after N tokens
``reject=P``    HTTP 400 when the request has the parameter P (several: with commas)
``times=N``     ``fail``, ``fail_after``, ``hang`` and ``hang_after`` hold for the first N requests with this message
==============  ======================================================================================

When Parlor itself asks, for a summary or a title, what people said is material: their directives are not followed. The
summary is a list of what was said, the title is made of a person's words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from parlor.llm import summary, title
from parlor.llm.memory import SUMMARY_HEADING
from parlor.llm.ports import PromptTurn

TOKENS_MAX = 100_000
DURATION_MAX = 3600.0
_QUOTED = 200
_BLOCK = re.compile(
    r"\[\[\s*((?:text|tokens|stamp|echo|first|delay|finish|fail|retry_after|fail_after|fail_as|hang|hang_after|reject|"
    r"times)=.*?)\]\]",
    re.DOTALL,
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s)?")
_TOKEN = re.compile(r"\s*\S+|\s+$")
FACT_LETTERS, FACTS_FIRST, FACTS_LAST = 80, 5, 15
"""What a summary quotes of a turn, and how many of its lines it keeps, from the beginning and from the end."""
TITLE_WORDS = 5
_FILLER = ("the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog", "and")


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """How one answer goes; durations in seconds. The fields are the grammar's keys."""

    text: str | None = None
    tokens: int | None = None
    stamp: bool = False
    echo: bool = False
    first: float = 0.0
    delay: float = 0.0
    finish: str = "stop"
    fail: int | None = None
    retry_after: float | None = None
    fail_after: int | None = None
    fail_as: str = "error"
    hang: bool = False
    hang_after: int | None = None
    reject: tuple[str, ...] = ()
    times: int | None = None

    def healthy(self) -> Behaviour:
        """The same without its faults: what comes after ``times`` requests."""
        return msgspec.structs.replace(self, fail=None, fail_after=None, hang=False, hang_after=None)


class DirectiveError(ValueError):
    """A directive that is not in the grammar; the message says which."""


def parse_directives(pairs: str, base: Behaviour) -> Behaviour:
    """``base`` changed by ``key=value ...``. Raises ``DirectiveError``."""
    changes: dict[str, object] = {}
    rest = pairs.lstrip()
    while rest:
        key, equals, rest = rest.partition("=")
        if not equals:
            raise DirectiveError(f"{key.strip()!r} has no value")
        if key == "text":
            value, rest = rest, ""
        else:
            value, *tail = re.split(r"\s+", rest, maxsplit=1)
            rest = tail[0] if tail else ""
        changes[key] = _value(key, value)
    return msgspec.structs.replace(base, **changes)


def behaviour_for(message: str, base: Behaviour) -> Behaviour:
    """``base`` changed by the directive blocks of a message. Raises ``DirectiveError``."""
    for block in _BLOCK.finditer(message):
        base = parse_directives(block[1], base)
    return base


def answer_to(turns: Sequence[PromptTurn]) -> str:
    """The default answer: deterministic Markdown that shows what the model was given to read."""
    if is_material(turns):
        material = msgspec.json.decode(turns[-1].content, type=summary.Material)
        return _title_of(material) if turns[0].content == title.INSTRUCTIONS else _summary_of(material)
    people = [turn.content for turn in turns if turn.role == "user"]
    earlier = [turn for turn in turns if turn.role != "system"][:-1]
    last = people[-1] if people else ""
    lines = [f"You said:\n\n{_quote(last)}\n"]
    if len(people) > 1:
        count = f"**{len(earlier)} earlier message{'s' if len(earlier) > 1 else ''}**"
        lines.append(f"I remember {count} of this conversation. Before this one, you said:\n\n{_quote(people[-2])}\n")
    else:
        lines.append("This is the **first message** of our conversation that I can see.\n")
    _, heading, before = (turns[0].content if turns else "").partition(SUMMARY_HEADING)
    if heading:
        lines.append(f"Of what was before that I have a **summary**:\n\n{_quote(before)}\n")
    lines.append(
        "I am Parlor's *demo model*: no language model is behind me, but this answer came to you the way a real one "
        "would, token by token. To talk to a real one, start Parlor with one of these:\n\n"
        "- `OPENAI_API_KEY=...` for OpenAI\n"
        "- `PARLOR_LLM__BASE_URL=...` and `PARLOR_LLM__MODEL=...` for any server that speaks OpenAI's protocol, "
        "such as Ollama or vLLM"
    )
    return "\n".join(lines)


def is_material(turns: Sequence[PromptTurn]) -> bool:
    """Whether it is Parlor that asks."""
    return bool(turns) and turns[0].content in (summary.INSTRUCTIONS, title.INSTRUCTIONS)


def filler(tokens: int) -> str:
    """A text of exactly so many tokens."""
    return " ".join(_FILLER[place % len(_FILLER)] for place in range(tokens))


def split_tokens(text: str) -> list[str]:
    """Words with the white space before them; joined they are the text again."""
    return _TOKEN.findall(text)


def _summary_of(material: summary.Material) -> str:
    said = [turn for turn in material.turns if turn.who == "person"] or material.turns
    lines = [line for line in material.summary.splitlines() if line]
    lines += [f"- The {turn.who} said: {_plain(turn.text, FACT_LETTERS)}" for turn in said]
    if len(lines) > FACTS_FIRST + FACTS_LAST:
        lines = [*lines[:FACTS_FIRST], *lines[-FACTS_LAST:]]
    return "\n".join(lines)


def _title_of(material: summary.Material) -> str:
    said = next((turn.text for turn in material.turns if turn.who == "person"), "")
    words = _plain(said, _QUOTED).split()
    return f"About: {' '.join(words[:TITLE_WORDS]) or 'nothing'}"


def _quote(text: str) -> str:
    return f"> {_plain(text, _QUOTED)}"


def _plain(text: str, letters: int) -> str:
    """A text in one line and without directives, so many letters of it."""
    plain = " ".join(_BLOCK.sub("", text).split())
    return f"{plain[:letters]}{'…' if len(plain) > letters else ''}"


def _value(key: str, value: str) -> object:
    match key:
        case "text" | "finish":
            return value
        case "tokens":
            return _integer(key, value, 0, TOKENS_MAX)
        case "fail":
            return _integer(key, value, 400, 599)
        case "fail_after" | "hang_after" | "times":
            return _integer(key, value, 0, TOKENS_MAX)
        case "retry_after":
            return float(_integer(key, value, 0, 3600))
        case "echo" | "hang" | "stamp":
            return bool(_integer(key, value, 0, 1))
        case "first" | "delay":
            return _duration(key, value)
        case "reject":
            return tuple(value.split(","))
        case "fail_as" if value in {"error", "cut", "end"}:
            return value
        case "fail_as":
            raise DirectiveError(f"fail_as={value!r} is not error, cut or end")
    raise DirectiveError(f"{key!r} is not a directive")


def _integer(key: str, value: str, low: int, high: int) -> int:
    if not (value.isascii() and value.isdigit() and low <= int(value) <= high):
        raise DirectiveError(f"{key}={value!r} is not an integer from {low} to {high}")
    return int(value)


def _duration(key: str, value: str) -> float:
    match = _DURATION.fullmatch(value)
    if match is None:
        raise DirectiveError(f"{key}={value!r} is not a duration like 20ms or 1.5s")
    seconds = float(match[1]) * (1.0 if match[2] == "s" else 0.001)
    if seconds > DURATION_MAX:
        raise DirectiveError(f"{key}={value!r} is more than an hour")
    return seconds
