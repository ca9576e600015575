"""Short ways to set, use up and look at the budget of an account."""

from __future__ import annotations

from msgspec import structs

from parlor.cache.budgets import BudgetCache, Sums
from parlor.cache.live import RoomAddress
from parlor.model.budgets import Ask, Budget, Payer, Period
from parlor.model.ids import MessageId
from parlor.model.messages import FinishReason, MessageDoc, QueuePosition, Usage
from parlor.settings.account_limits import AccountLimits
from parlor.settings.limits import LimitSettings
from tests.contract.cache.fixtures import APPLIED, CLAIM_1, NOW, CacheFixtures

ASK = Ask(prompt=20, answer=80, input_price=2, output_price=10)
"""100 tokens, for 840 billionths."""
NOTHING = Sums(0, 0, 0, 0)


def limit(fixtures: CacheFixtures, **limits: float | None) -> None:
    """These limits and no other."""
    every: dict[str, float | None] = dict.fromkeys(
        ("tokens_per_day", "tokens_per_month", "cost_per_day", "cost_per_month")
    )
    fixtures.live.limits = AccountLimits(LimitSettings.model_validate({**every, **limits}))


def payer_of(fixtures: CacheFixtures) -> Payer:
    address = fixtures.address()
    return Payer(address.account_id, address.account_db_key, fixtures.partition)


async def load(fixtures: CacheFixtures, sums: Sums = NOTHING, applied: QueuePosition = APPLIED) -> None:
    period = Period.at(fixtures.clock.now_ms())
    await BudgetCache(fixtures.live).load(payer_of(fixtures), period, sums, 1, applied)


async def standing(fixtures: CacheFixtures, name: str = "tokens_per_day") -> Budget:
    found = await BudgetCache(fixtures.live).standings(payer_of(fixtures))
    assert found is not None
    return next(each for each in found if each.name == name)


async def spent(fixtures: CacheFixtures) -> tuple[int, int]:
    """Tokens of the day that are used, and reserved."""
    found = await standing(fixtures)
    return found.used, found.reserved


async def ask(fixtures: CacheFixtures, address: RoomAddress, after: int, what: Ask = ASK) -> MessageId:
    """Sends a message that asks for this; the id of its reply."""
    turn = structs.replace(fixtures.turn(), ask=what)
    appended = await fixtures.rooms.append(address, CLAIM_1, after, turn)
    assert appended.reply_id is not None
    return appended.reply_id


async def start(
    fixtures: CacheFixtures, address: RoomAddress, reply: MessageId, what: Ask = ASK, attempt: int = 1, had: int = 0
) -> int | None:
    return await fixtures.rooms.start_attempt(address, CLAIM_1, reply, 2, attempt, had=had, ask=what)


async def end(
    fixtures: CacheFixtures, address: RoomAddress, reply: MessageId, usage: Usage | None, had: int | None = None
) -> None:
    doc = MessageDoc(
        reply, fixtures.reserved(reply).sender_type, "Hi", NOW, attempt=1, usage=usage, finish_reason=FinishReason.STOP
    )
    cost = usage.input_tokens * 2 + usage.output_tokens * 10 if usage else 0
    await fixtures.rooms.complete_reply(address, CLAIM_1, 2, doc, "message.completed", cost, had)
