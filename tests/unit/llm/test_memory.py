"""The memory's rules, by example and for any room."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlor.ids import MessageId, RoomId
from parlor.llm.memory import PAGE, SCAN_MAX, TURN_OVERHEAD, Memory, estimate_tokens
from parlor.llm.ports import Context, Persona, PromptTurn
from parlor.model import Durability, FinishReason, Message, SenderType
from parlor.states import MessageState

pytestmark = pytest.mark.unit

ROOM = RoomId("018f0000-0000-8000-8000-000000000000")
PERSONA = Persona("P", "p", "", "Be kind.", "m")
USER, AI, SYSTEM = SenderType.USER, SenderType.AI, SenderType.SYSTEM


class FakeHistory:
    """A room as a list; remembers how it was read."""

    def __init__(self, messages: list[Message]) -> None:
        self._messages = messages
        self.reads: list[tuple[int, int]] = []

    async def before(self, room_id: RoomId, seq: int, limit: int) -> list[Message]:
        assert room_id == ROOM
        self.reads.append((seq, limit))
        return [message for message in self._messages if message.seq < seq][-limit:]


def message(
    seq: int,
    sender: SenderType,
    content: str,
    *,
    state: MessageState = MessageState.SENT,
    finish: FinishReason | None = None,
) -> Message:
    return Message(
        message_id=MessageId(f"m{seq}"),
        room_id=ROOM,
        seq=seq,
        sender_type=sender,
        content=content,
        timestamp=0,
        state=state,
        durability=Durability.PERSISTED,
        is_streaming=state is MessageState.COMPOSING,
        attempt=0,
        parent_message_id=None,
        finish_reason=finish,
        usage=None,
        metadata={},
    )


def talk(*turns: tuple[SenderType, str]) -> list[Message]:
    return [message(seq, sender, content) for seq, (sender, content) in enumerate(turns, start=1)]


async def assemble(
    messages: list[Message], budget: int = 8000, persona: Persona = PERSONA, before: int | None = None
) -> Context:
    return await Memory(FakeHistory(messages), budget).assemble(ROOM, persona, before)


def shown(context: Context) -> list[tuple[str, str]]:
    assert context.turns[0] == PromptTurn("system", PERSONA.system_prompt)
    return [(turn.role, turn.content) for turn in context.turns[1:]]


async def test_a_short_room_is_read_whole_and_in_order() -> None:
    context = await assemble(talk((USER, "a"), (AI, "b"), (USER, "c")))
    assert shown(context) == [("user", "a"), ("assistant", "b"), ("user", "c")]
    assert context.omitted == 0
    assert context.estimated_tokens == 4 * TURN_OVERHEAD + estimate_tokens(PERSONA.system_prompt) + 3


async def test_an_empty_room_is_the_system_prompt() -> None:
    context = await assemble([])
    assert shown(context) == []
    assert context.omitted == 0


async def test_messages_from_before_seq_on_are_not_read() -> None:
    messages = talk((USER, "a"), (AI, "b"), (USER, "c"), (AI, "d"))
    assert shown(await assemble(messages, before=4)) == [("user", "a"), ("assistant", "b"), ("user", "c")]


@pytest.mark.parametrize("state", [MessageState.DELETED, MessageState.DELETING])
async def test_deleted_messages_are_left_out(state: MessageState) -> None:
    messages = [message(1, USER, "a"), message(2, USER, "gone", state=state), message(3, USER, "c")]
    assert shown(await assemble(messages)) == [("user", "a\n\nc")]


async def test_the_partial_text_of_a_stopped_answer_stays_and_a_blank_one_goes() -> None:
    messages = [
        message(1, USER, "a"),
        message(2, AI, "half", finish=FinishReason.STOPPED),
        message(3, USER, "b"),
        message(4, AI, " ", finish=FinishReason.ERROR),
        message(5, USER, "c"),
    ]
    assert shown(await assemble(messages)) == [("user", "a"), ("assistant", "half"), ("user", "b\n\nc")]


async def test_an_answer_still_being_written_is_left_out() -> None:
    messages = [message(1, USER, "a"), message(2, AI, "so f", state=MessageState.COMPOSING)]
    assert shown(await assemble(messages)) == [("user", "a")]


async def test_the_newest_that_fit_are_kept() -> None:
    messages = talk(*[(USER if seq % 2 else AI, f"{seq:0400d}") for seq in range(1, 10)])
    # 104 tokens a message and 6 for the system prompt: three fit into 400, and the third is a question.
    context = await assemble(messages, budget=400)
    assert [content[-1] for _, content in shown(context)] == ["7", "8", "9"]
    assert context.omitted == 6
    assert context.estimated_tokens <= 400


async def test_an_answer_whose_question_is_missing_is_not_the_first_turn() -> None:
    messages = talk((USER, "q" * 4000), (AI, "orphan"), (USER, "now"))
    context = await assemble(messages, budget=300)
    assert shown(context) == [("user", "now")]
    assert context.omitted == 2


async def test_without_any_question_the_answers_stay() -> None:
    assert shown(await assemble(talk((AI, "Welcome")))) == [("assistant", "Welcome")]


async def test_the_newest_question_is_there_whole_even_over_the_budget() -> None:
    question = "q" * 32_768
    context = await assemble(talk((USER, "old"), (AI, "older"), (USER, question)), budget=256)
    assert shown(context) == [("user", question)]
    assert context.omitted == 2


async def test_a_newer_answer_that_does_not_fit_does_not_hide_the_question() -> None:
    context = await assemble(talk((USER, "old"), (USER, "question"), (AI, "a" * 8000)), budget=256)
    assert shown(context) == [("user", "question")]
    assert context.omitted == 2


async def test_room_is_reserved_for_the_answer_but_never_more_than_half() -> None:
    messages = talk(*[(USER, f"{seq:0400d}") for seq in range(1, 12)])

    async def kept(max_tokens: int | None) -> int:
        persona = Persona("P", "p", "", "Be kind.", "m", max_tokens=max_tokens)
        return 11 - (await assemble(messages, budget=1000, persona=persona)).omitted

    assert [await kept(None), await kept(200), await kept(500), await kept(100_000)] == [9, 7, 4, 4]


async def test_a_system_message_keeps_its_place() -> None:
    context = await assemble(talk((USER, "a"), (SYSTEM, "note"), (USER, "b")))
    assert shown(context) == [("user", "a"), ("system", "note"), ("user", "b")]


async def test_history_is_read_backwards_in_pages_and_no_further_than_needed() -> None:
    history = FakeHistory(talk(*[(USER if seq % 2 else AI, "x" * 36) for seq in range(1, 1001)]))
    # 13 tokens a message: 76 fit into 1000.
    context = await Memory(history, 1000).assemble(ROOM, PERSONA, 1001)
    assert history.reads == [(1001, PAGE), (951, PAGE)]
    assert len(context.turns) - 1 + context.omitted == 1000


async def test_a_room_of_deleted_messages_is_not_walked_to_its_start() -> None:
    gone = [message(seq, USER, "", state=MessageState.DELETED) for seq in range(1, 3 * SCAN_MAX)]
    history = FakeHistory(gone)
    await Memory(history, 8000).assemble(ROOM, PERSONA, None)
    assert len(history.reads) == SCAN_MAX // PAGE


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("日本語", 3), ("\ud800", 1)]
)
def test_tokens_are_a_quarter_of_the_bytes_rounded_up(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


ROOMS = st.lists(
    st.tuples(
        st.sampled_from([USER, AI]),
        st.integers(0, 1500).map(lambda length: "x" * length),
        st.sampled_from([MessageState.SENT, MessageState.PENDING, MessageState.DELETED, MessageState.COMPOSING]),
    ),
    max_size=120,
)


@given(ROOMS, st.integers(256, 4000), st.one_of(st.none(), st.integers(1, 8000)))
def test_the_budget_holds_for_any_room(
    drawn: list[tuple[SenderType, str, MessageState]], budget: int, max_tokens: int | None
) -> None:
    messages = [message(seq, sender, text, state=state) for seq, (sender, text, state) in enumerate(drawn, start=1)]
    persona = Persona("P", "p", "", PERSONA.system_prompt, "m", max_tokens=max_tokens)
    context = asyncio.run(assemble(messages, budget, persona))
    turns = shown(context)
    questions = [m for m in messages if m.sender_type is USER and m.content and m.state in {"SENT", "PENDING"}]

    if questions:
        # The newest question is there, and the first turn is a question.
        assert any(role == "user" and content.endswith(questions[-1].content) for role, content in turns)
        assert turns[0][0] == "user"
    # Roles alternate.
    assert all(left[0] != right[0] for left, right in pairwise(turns))
    # Over the budget only for the sake of the newest question.
    question = TURN_OVERHEAD + estimate_tokens(questions[-1].content) if questions else 0
    allowed = budget - min(max_tokens or 0, budget // 2)
    assert context.estimated_tokens <= allowed or context.estimated_tokens - question <= allowed
    assert 0 <= context.omitted <= len(messages)
    # The estimate is never below what the turns come to; merging rounds up once instead of for each.
    assert context.estimated_tokens >= sum(estimate_tokens(turn.content) for turn in context.turns)
