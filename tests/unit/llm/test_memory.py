"""The memory's rules, by example and for any room."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlor.llm.memory import PAGE, SCAN_MAX, Fold, Memory
from parlor.llm.ports import Context, Persona, PromptTurn
from parlor.llm.tokens import TURN_OVERHEAD, estimate_tokens
from parlor.model.ids import RoomId
from parlor.model.messages import FinishReason, Message, SenderType
from parlor.model.rooms import RoomMemory
from parlor.model.states import MessageState
from tests.unit.llm.fake_history import AI, PERSONA, ROOM, SYSTEM, USER, FakeHistory, FakeSummaries, message, talk

pytestmark = pytest.mark.unit


def memory(history: FakeHistory, budget: int = 8000, summaries: FakeSummaries | None = None) -> Memory:
    return Memory(history, summaries or FakeSummaries(), budget, 800)


async def build_prompt(
    messages: list[Message],
    budget: int = 8000,
    persona: Persona = PERSONA,
    before: int | None = None,
    summaries: FakeSummaries | None = None,
) -> Context:
    return await memory(FakeHistory(messages), budget, summaries).build_prompt(ROOM, persona, before)


def shown(context: Context) -> list[tuple[str, str]]:
    assert context.turns[0] == PromptTurn("system", PERSONA.system_prompt)
    return [(turn.role, turn.content) for turn in context.turns[1:]]


async def test_a_short_room_is_read_whole_and_in_order() -> None:
    context = await build_prompt(talk((USER, "a"), (AI, "b"), (USER, "c")))
    assert shown(context) == [("user", "a"), ("assistant", "b"), ("user", "c")]
    assert context.omitted == 0
    assert context.estimated_tokens == 4 * TURN_OVERHEAD + estimate_tokens(PERSONA.system_prompt) + 3


@pytest.mark.parametrize("text", ["가나다라", "人人生而", "すべての", "ｱｲｳｴ", "😀🙏"], ids=ascii)
async def test_a_prompt_keeps_its_budget_also_where_a_character_is_a_token(text: str) -> None:
    messages = talk(*[(USER, text * 125) for _ in range(60)])
    context = await build_prompt(messages)
    characters = sum(len(turn.content) for turn in context.turns)
    assert 3000 < characters < context.estimated_tokens <= 8000


async def test_the_thoughts_in_answers_stay_out_of_prompts() -> None:
    answer = "<think>SECRET</think>\n\nBlue."
    messages = talk((USER, "a <think>b"), (AI, answer), (USER, "c"), (AI, "<think>SECRET"), (USER, "d"))
    context = await build_prompt(messages)
    assert shown(context) == [("user", "a <think>b"), ("assistant", "Blue."), ("user", "c\n\nd")]
    latest = await memory(FakeHistory(messages)).latest(ROOM, 6, 5, 100)
    assert "SECRET" not in str(latest)


async def test_an_empty_room_is_the_system_prompt() -> None:
    context = await build_prompt([])
    assert shown(context) == []
    assert context.omitted == 0


async def test_messages_from_before_seq_on_are_not_read() -> None:
    messages = talk((USER, "a"), (AI, "b"), (USER, "c"), (AI, "d"))
    assert shown(await build_prompt(messages, before=4)) == [("user", "a"), ("assistant", "b"), ("user", "c")]


@pytest.mark.parametrize("state", [MessageState.DELETED, MessageState.DELETING])
async def test_deleted_messages_are_left_out(state: MessageState) -> None:
    messages = [message(1, USER, "a"), message(2, USER, "gone", state=state), message(3, USER, "c")]
    assert shown(await build_prompt(messages)) == [("user", "a\n\nc")]


async def test_the_partial_text_of_a_stopped_answer_stays_and_a_blank_one_goes() -> None:
    messages = [
        message(1, USER, "a"),
        message(2, AI, "half", finish=FinishReason.STOPPED),
        message(3, USER, "b"),
        message(4, AI, " ", finish=FinishReason.ERROR),
        message(5, USER, "c"),
    ]
    assert shown(await build_prompt(messages)) == [("user", "a"), ("assistant", "half"), ("user", "b\n\nc")]


async def test_an_answer_still_being_written_is_left_out() -> None:
    messages = [message(1, USER, "a"), message(2, AI, "so f", state=MessageState.COMPOSING)]
    assert shown(await build_prompt(messages)) == [("user", "a")]


async def test_the_newest_that_fit_are_kept() -> None:
    messages = talk(*[(USER if seq % 2 else AI, f"{seq:0400d}") for seq in range(1, 10)])
    # 104 tokens a message and 6 for the system prompt: three fit into 400, and the third is a question.
    context = await build_prompt(messages, budget=400)
    assert [content[-1] for _, content in shown(context)] == ["7", "8", "9"]
    assert context.omitted == 6
    assert context.estimated_tokens <= 400


async def test_an_answer_whose_question_is_missing_is_not_the_first_turn() -> None:
    messages = talk((USER, "q" * 4000), (AI, "orphan"), (USER, "now"))
    context = await build_prompt(messages, budget=300)
    assert shown(context) == [("user", "now")]
    assert context.omitted == 2


async def test_without_any_question_the_answers_stay() -> None:
    assert shown(await build_prompt(talk((AI, "Welcome")))) == [("assistant", "Welcome")]


async def test_the_newest_question_is_there_whole_even_over_the_budget() -> None:
    question = "q" * 32_768
    context = await build_prompt(talk((USER, "old"), (AI, "older"), (USER, question)), budget=256)
    assert shown(context) == [("user", question)]
    assert context.omitted == 2


async def test_a_newer_answer_that_does_not_fit_does_not_hide_the_question() -> None:
    context = await build_prompt(talk((USER, "old"), (USER, "question"), (AI, "a" * 8000)), budget=256)
    assert shown(context) == [("user", "question")]
    assert context.omitted == 2


async def test_room_is_reserved_for_the_answer_but_never_more_than_half() -> None:
    messages = talk(*[(USER, f"{seq:0400d}") for seq in range(1, 12)])

    async def kept(max_tokens: int | None) -> int:
        persona = Persona("P", "p", "", "Be kind.", "m", max_tokens=max_tokens)
        return 11 - (await build_prompt(messages, budget=1000, persona=persona)).omitted

    assert [await kept(None), await kept(200), await kept(500), await kept(100_000)] == [9, 7, 4, 4]


async def test_a_system_message_keeps_its_position() -> None:
    context = await build_prompt(talk((USER, "a"), (SYSTEM, "note"), (USER, "b")))
    assert shown(context) == [("user", "a"), ("system", "note"), ("user", "b")]


async def test_history_is_read_backwards_in_pages_and_no_further_than_needed() -> None:
    history = FakeHistory(talk(*[(USER if seq % 2 else AI, "x" * 36) for seq in range(1, 1001)]))
    # 13 tokens a message: 76 fit into 1000.
    context = await memory(history, 1000).build_prompt(ROOM, PERSONA, 1001)
    assert history.reads == [(1001, PAGE), (951, PAGE)]
    assert len(context.turns) - 1 + context.omitted == 1000


async def test_a_room_of_deleted_messages_is_not_walked_to_its_start() -> None:
    gone = [message(seq, USER, "", state=MessageState.DELETED) for seq in range(1, 3 * SCAN_MAX)]
    history = FakeHistory(gone)
    await memory(history).build_prompt(ROOM, PERSONA, None)
    assert len(history.reads) == SCAN_MAX // PAGE


# The summary


def long_talk(count: int) -> list[Message]:
    """Questions and answers, 104 estimated tokens each."""
    return talk(*[(USER if seq % 2 else AI, f"{seq:0400d}") for seq in range(1, count + 1)])


def numbers(turns: list[PromptTurn]) -> list[int]:
    return [int(turn.content) for turn in turns if turn.role != "system"]


async def test_the_summary_stands_in_the_system_message_and_its_turns_are_not_read_again() -> None:
    context = await build_prompt(long_talk(9), summaries=FakeSummaries("Ada likes tea.", 6))
    system = f"{PERSONA.system_prompt}\n\nSummary of the conversation so far: Ada likes tea."
    assert context.turns[0] == PromptTurn("system", system)
    assert numbers(context.turns) == [7, 8, 9]
    assert context.omitted == 0
    assert context.estimated_tokens == TURN_OVERHEAD + estimate_tokens(system) + 3 * 104


async def test_what_neither_the_summary_nor_the_window_has_is_omitted() -> None:
    context = await build_prompt(long_talk(21), budget=500, summaries=FakeSummaries("Ada likes tea.", 6))
    assert numbers(context.turns) == [19, 20, 21]
    assert context.omitted == 21 - 3 - 6


async def test_a_summary_that_tells_of_the_message_itself_is_not_for_its_prompt() -> None:
    context = await build_prompt(long_talk(9), before=6, summaries=FakeSummaries("Ada likes tea.", 6))
    assert context.turns[0].content == PERSONA.system_prompt
    assert numbers(context.turns) == [1, 2, 3, 4, 5]


async def test_the_newest_question_is_there_also_when_the_summary_covers_it() -> None:
    context = await build_prompt(long_talk(9), summaries=FakeSummaries("Ada likes tea.", 9))
    assert numbers(context.turns) == [9]
    assert context.omitted == 0


async def test_a_summary_takes_a_quarter_of_the_budget_at_most() -> None:
    assert memory(FakeHistory([]), budget=1000).summary_tokens == 250
    assert memory(FakeHistory([]), budget=8000).summary_tokens == 800


async def test_a_model_that_counts_more_gets_fewer_turns() -> None:
    remembering = memory(FakeHistory(long_talk(21)), budget=1000)
    before = await remembering.build_prompt(ROOM, PERSONA)
    for _ in range(20):
        remembering.ratios.learn(PERSONA.model, before.turns, 2 * before.estimated_tokens)
    after = await remembering.build_prompt(ROOM, PERSONA)
    assert (len(numbers(before.turns)), len(numbers(after.turns))) == (9, 4 - 1)
    assert after.estimated_tokens <= 1000


# Folds


async def fold(
    messages: list[Message], budget: int, summaries: FakeSummaries | None = None, before: int | None = None
) -> Fold | None:
    remembering = memory(FakeHistory(messages), budget, summaries)
    return await remembering.fold(ROOM, PERSONA, before or len(messages) + 1)


async def test_nothing_is_folded_while_everything_fits() -> None:
    assert await fold(long_talk(9), 1000) is None
    assert await fold([], 1000) is None


async def test_a_fold_leaves_half_a_window_that_begins_with_a_question() -> None:
    messages = long_talk(12)
    remembering = Memory(FakeHistory(messages), FakeSummaries("", 0, 7), 1000, summary_tokens=50)
    found = await remembering.fold(ROOM, PERSONA, 13)
    assert found is not None
    # 9 to 12 are 416 tokens of the 500; with the question before them they would be 624.
    assert numbers(found.turns) == list(range(1, 9))
    assert (found.through_seq, found.known.version) == (8, 7)


async def test_a_fold_goes_on_where_the_summary_ends() -> None:
    found = await fold(long_talk(30), 1000, FakeSummaries("Ada likes tea.", 10))
    assert found is not None
    # 500 tokens a call, of 104 each.
    assert numbers(found.turns) == [11, 12, 13, 14]
    assert found.through_seq == 14


async def test_what_is_folded_and_what_is_kept_are_the_whole_room() -> None:
    messages, summaries = long_talk(75), FakeSummaries()
    folded: list[int] = []
    while (found := await fold(messages, 1500, summaries)) is not None:
        folded += numbers(found.turns)
        summaries = FakeSummaries("So far.", found.through_seq)
    context = await build_prompt(messages, 1500, summaries=summaries)
    assert folded + numbers(context.turns) == list(range(1, 76))
    assert context.omitted == 0


async def test_deleted_messages_are_passed_over_by_a_fold() -> None:
    messages = [
        message(old.seq, old.sender_type, old.content, state=MessageState.DELETED if old.seq in (1, 4) else old.state)
        for old in long_talk(12)
    ]
    found = await fold(messages, 700)
    assert found is not None
    assert numbers(found.turns)[:2] == [2, 3]
    assert not {1, 4} & set(numbers(found.turns))


async def test_a_fold_stops_before_an_answer_that_is_being_written() -> None:
    messages = long_talk(12)
    messages[3] = message(4, AI, "so f", state=MessageState.COMPOSING)
    found = await fold(messages, 700)
    assert found is not None
    assert (numbers(found.turns), found.through_seq) == ([1, 2, 3], 3)


async def test_a_turn_that_is_too_long_for_a_fold_is_cut() -> None:
    messages = talk((USER, "x" * 32_768), (AI, "b"), (USER, "c"), (AI, "d" * 2000))
    found = await fold(messages, 1000)
    assert found is not None
    assert [len(turn.content) for turn in found.turns] == [2000]
    assert found.through_seq == 1


async def test_the_newest_question_and_its_answer_are_never_folded() -> None:
    messages = talk((USER, "a"), (AI, "b"), (USER, "q"), (AI, "x" * 32_768))
    found = await fold(messages, 1000)
    assert found is not None
    assert found.through_seq == 2
    assert await fold(messages, 1000, FakeSummaries("So far.", 2)) is None


async def test_the_version_is_read_before_the_messages() -> None:
    summaries = FakeSummaries("So far.", 2, 3)

    class Watching(FakeHistory):
        async def before(self, room_id: RoomId, seq: int, limit: int) -> list[Message]:
            # A deletion from here on changes the version.
            summaries.known = RoomMemory("", 0, None, 4)
            return await super().before(room_id, seq, limit)

    found = await memory(Watching(long_talk(30)), 1000, summaries).fold(ROOM, PERSONA, 31)
    assert found is not None
    assert found.known.version == 3


async def test_a_room_is_crowded_when_its_prompt_took_half_of_the_budget_and_says_so_once() -> None:
    history = FakeHistory(long_talk(3))
    remembering = memory(history, 1000)
    await remembering.build_prompt(ROOM, PERSONA)
    assert not remembering.take_crowded(ROOM)
    history.messages = long_talk(6)
    await remembering.build_prompt(ROOM, PERSONA)
    assert remembering.take_crowded(ROOM)
    assert not remembering.take_crowded(ROOM)


async def test_the_latest_turns_are_those_that_can_be_read() -> None:
    messages = [message(1, USER, "abcdefgh"), message(2, AI, "b", state=MessageState.DELETED), message(3, USER, "c")]
    found = await memory(FakeHistory(messages)).latest(ROOM, 4, 8, tokens=1)
    assert found == [(1, PromptTurn("user", "abcd")), (3, PromptTurn("user", "c"))]


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
    context = asyncio.run(build_prompt(messages, budget, persona))
    turns = shown(context)
    questions = [m for m in messages if m.sender_type is USER and m.content and m.state in {"SENT", "PENDING"}]

    if questions:
        # The newest question is there, and the first turn is a question.
        assert any(role == "user" and content.endswith(questions[-1].content) for role, content in turns)
        assert turns[0][0] == "user"
    # Roles alternate.
    assert all(left[0] != right[0] for left, right in pairwise(turns))
    # Only the newest question may exceed the budget.
    question = TURN_OVERHEAD + estimate_tokens(questions[-1].content) if questions else 0
    allowed = budget - min(max_tokens or 0, budget // 2)
    assert context.estimated_tokens <= allowed or context.estimated_tokens - question <= allowed
    assert 0 <= context.omitted <= len(messages)
    # The estimate is never below the sum of the turns; merging rounds up once instead of once for each.
    assert context.estimated_tokens >= sum(estimate_tokens(turn.content) for turn in context.turns)
