"""A FollowUp with rooms whose messages are a list, and a model whose answers a test gives."""

from __future__ import annotations

import msgspec

from parlor.cache.live import RoomAddress
from parlor.cache.summaries import SummaryCache
from parlor.llm.memory import Memory
from parlor.llm.ports import Persona
from parlor.llm.summary import Material
from parlor.model.ids import Claim
from parlor.model.messages import FinishReason
from parlor.model.rooms import RoomMemory
from tests.unit.domain import Domain
from tests.unit.fake_clock import settle
from tests.unit.llm.fake_history import AI, USER, FakeHistory, talk
from tests.unit.scripted_model import Talk

PERSONA = Persona("GPT4O", "GPT4O", "", "Be kind.", "scripted")
CLAIM = Claim("claim-1")
STOP = FinishReason.STOP


class FollowUpFixture:
    """A FollowUp, its model, and rooms whose messages are a list."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.history = FakeHistory([])
        self.memory = Memory(self.history, domain.memories, 1000, 800)
        self.summaries = SummaryCache(domain.live)
        self.follow_up = domain.new_follow_up(self.memory, domain.settings.llm)

    @property
    def talks(self) -> list[Talk]:
        """The requests to the model, in order."""
        return self.domain.model.talks

    async def room(self, title: str = "") -> RoomAddress:
        room_id = await self.domain.new_room(title=title)
        await self.domain.cache.claim(room_id, CLAIM, 0)
        return RoomAddress(room_id, self.domain.ada.account_id, self.domain.ada.account_db_key)

    def say(self, count: int) -> None:
        """Puts ``count`` messages into the room, of 104 estimated tokens each."""
        self.history.messages = talk(*[(USER if seq % 2 else AI, f"{seq:0400d}") for seq in range(1, count + 1)])

    async def ended(self, address: RoomAddress, reason: FinishReason = STOP, claim: Claim = CLAIM) -> None:
        """Ends the newest message, a reply, and lets all tasks run as far as they can."""
        last = len(self.history.messages)
        await self.memory.build_prompt(address.room_id, PERSONA, last)
        self.follow_up.reply_ended(address, claim, PERSONA.name, last, reason)
        await settle()

    async def answer(self, number: int, text: str) -> None:
        self.talks[number].say(text)
        self.talks[number].finish()
        await settle()

    async def title(self, address: RoomAddress) -> str:
        return (await self.domain.directory.room(address.room_id, address.account_id)).title

    async def known(self, address: RoomAddress) -> RoomMemory:
        return await self.domain.directory.memory(address.room_id, address.account_id)


def material(asked: Talk) -> Material:
    return msgspec.json.decode(asked.context.turns[-1].content, type=Material)


def turn_numbers(asked: Talk) -> list[int]:
    return [int(turn.text) for turn in material(asked).turns]
