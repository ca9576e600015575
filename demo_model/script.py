"""The behaviour of the demo model: its directives, default answer and tokens. Pure functions.

**Grammar.** A directive block can be anywhere in the last user message::

    [[tokens=50 delay=20ms first=100ms]]
    [[fail=429 retry_after=1 times=1]]
    [[fail_after=3 fail_as=cut text=the rest of the block is the answer]]

A block has one or more pairs of key and value, separated by white space. A block that does not begin with a known key
is ordinary text; other unknown keys and bad values are answered with HTTP 400. Of several blocks, later ones win.
Durations: ``20ms``, ``1.5s``, or a bare number of milliseconds.

==============  ======================================================================================
``text=``       the answer, up to the end of the block (so it has to come last)
``tokens=N``    an answer of N filler words
``stamp=1``     with ``tokens``: each word is the unix time in milliseconds at which it is sent, to measure delays
``echo=1``      the answer is the JSON of the request
``first=D``     time before the first token
``delay=D``     time between two tokens
``think=N``     N filler words of reasoning before the answer
``think_as=F``  where they stand: ``reasoning_content`` (default), ``reasoning``, or ``tags`` (``<think>`` in the text)
``call=T``      a call of the tool T, offered or not (several are separated by commas: parallel calls)
``args=J``      with ``call``: the arguments as they are sent, without white space, valid or not; default: made from
                the tool's schema
``call_as=F``   ``one`` (default): each call in one chunk; ``many``: its arguments in pieces
``calls=N``     with ``call``: as often, one after the other, each after the results of the one before; default 1
``usage=U``     ``end`` (default, when it is asked for), ``none``, or ``null`` (a usage without counts)
``finish=R``    the finish reason: ``stop``, ``length``, ``content_filter``, ...
``fail=S``      HTTP status S, 400 to 599, instead of an answer
``retry_after=S``  seconds, sent as ``Retry-After`` with ``fail``
``fail_after=N``   the answer breaks after N tokens, as ``fail_as`` says: ``error`` (default, an error object in the
                stream), ``cut`` (the connection is closed), ``end`` (a regular end without finish reason and [DONE])
``hang=1``      nothing is sent, not even headers, until the client disconnects
``hang_after=N``   the answer stops after N tokens, until the client disconnects
``reject=P``    HTTP 400 when the request has the parameter P (several are separated by commas)
``times=N``     ``fail``, ``fail_after``, ``hang`` and ``hang_after`` apply to the first N requests with this message
==============  ======================================================================================

Tools and schemas (``response_format``) without a directive: see ``demo_model/tools.py``. An image is acknowledged with
its size.

A prompt that ends with an answer is continued: the rest of that answer follows, if it was one of this model's.

When Parlor asks for a summary or a title, directives in the conversation are not followed. The summary is a list of
quotes, the title is made of a user's words.
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
    r"\[\[\s*((?:text|tokens|stamp|echo|think|think_as|call|args|call_as|calls|usage|first|delay|finish|fail|retry_after|"
    r"fail_after|fail_as|hang|hang_after|reject|times)=.*?)\]\]",
    re.DOTALL,
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s)?")
_TOKEN = re.compile(r"\s*\S+|\s+$")
FACT_LENGTH, FACTS_FIRST, FACTS_LAST = 80, 5, 15
"""Characters that a summary quotes of a turn, and how many of its first and last lines it keeps."""
TITLE_WORDS = 5
_WORDS = {
    "fail_as": ("error", "cut", "end"),
    "think_as": ("reasoning_content", "reasoning", "tags"),
    "call_as": ("one", "many"),
    "usage": ("end", "none", "null"),
}
_FILLER = ("the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog", "and")


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """How to answer one request. The fields are the keys of the grammar; durations are in seconds."""

    text: str | None = None
    tokens: int | None = None
    stamp: bool = False
    echo: bool = False
    think: int = 0
    think_as: str = "reasoning_content"
    call: tuple[str, ...] = ()
    args: str | None = None
    call_as: str = "one"
    calls: int = 1
    usage: str = "end"
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
        """This behaviour without its faults, for the requests after the first ``times``."""
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
    """The default answer: deterministic Markdown that shows what was in the prompt."""
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
        lines.append(f"I have a **summary** of what came before that:\n\n{_quote(before)}\n")
    lines.append(
        "I am Parlor's *demo model*: no language model is behind me, but this answer came to you the way a real one "
        "would, token by token. To talk to a real one, start Parlor with one of these:\n\n"
        "- `OPENAI_API_KEY=...` for OpenAI\n"
        "- `PARLOR_LLM__BASE_URL=...` and `PARLOR_LLM__MODEL=...` for any server that speaks OpenAI's protocol, "
        "such as Ollama or vLLM"
    )
    return "\n".join(lines)


def unfinished(turns: Sequence[PromptTurn]) -> str:
    """The answer that a prompt ends with, to be continued; empty for none."""
    return turns[-1].content if turns and turns[-1].role == "assistant" else ""


def rest_of(answer: str, said: str) -> str:
    """What is left of an answer behind what was said of it; the whole answer if nothing is."""
    rest = answer.partition(said)[2] if said else ""
    return rest if rest.strip() else answer


def is_material(turns: Sequence[PromptTurn]) -> bool:
    """Whether Parlor asks for a summary or a title."""
    return bool(turns) and turns[0].content in (summary.INSTRUCTIONS, title.INSTRUCTIONS)


def filler(tokens: int) -> str:
    """A text of ``tokens`` tokens."""
    return " ".join(_FILLER[index % len(_FILLER)] for index in range(tokens))


def split_tokens(text: str) -> list[str]:
    """Words with the white space before them; joined they are the text."""
    return _TOKEN.findall(text)


def _summary_of(material: summary.Material) -> str:
    said = [turn for turn in material.turns if turn.who == "person"] or material.turns
    lines = [line for line in material.summary.splitlines() if line]
    lines += [f"- The {turn.who} said: {_plain(turn.text, FACT_LENGTH)}" for turn in said]
    if len(lines) > FACTS_FIRST + FACTS_LAST:
        lines = [*lines[:FACTS_FIRST], *lines[-FACTS_LAST:]]
    return "\n".join(lines)


def _title_of(material: summary.Material) -> str:
    said = next((turn.text for turn in material.turns if turn.who == "person"), "")
    words = _plain(said, _QUOTED).split()
    return f"About: {' '.join(words[:TITLE_WORDS]) or 'nothing'}"


def _quote(text: str) -> str:
    return f"> {_plain(text, _QUOTED)}"


def _plain(text: str, length: int) -> str:
    """The text on one line, without directives, cut after ``length`` characters."""
    plain = " ".join(_BLOCK.sub("", text).split())
    return f"{plain[:length]}{'…' if len(plain) > length else ''}"


def _value(key: str, value: str) -> object:
    match key:
        case "text" | "finish" | "args":
            return value
        case "tokens" | "think" | "calls":
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
        case "reject" | "call":
            return tuple(value.split(","))
    if key in _WORDS:
        if value not in _WORDS[key]:
            raise DirectiveError(f"{key}={value!r} is not {', '.join(_WORDS[key][:-1])} or {_WORDS[key][-1]}")
        return value
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
