"""What the model says in rooms in memory."""

from __future__ import annotations

from tests.unit.actors.cluster import Cluster
from tests.unit.fake_clock import settle


async def answer(cluster: Cluster, *texts: str, ends: bool = True) -> None:
    """Has the model say these, and end."""
    await settle()
    talk = cluster.domain.model.talks[-1]
    for text in texts:
        talk.say(text)
        await cluster.domain.clock.advance(0.1)
    if ends:
        talk.finish()
        await cluster.domain.clock.advance(0.1)
