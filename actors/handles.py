"""Handles of actors, found by name. Ray's look-ups block and its handles are untyped; both stay behind this module."""

from __future__ import annotations

import asyncio
from typing import Any, TypeAlias

import ray

Handle: TypeAlias = Any
"""An actor's handle; ``actors.contracts`` says what it may be asked."""

LOOKUP_SECONDS = 5.0


def find_actor_blocking(name: str, namespace: str) -> Handle:
    """Raises ``ValueError`` when there is none of this name."""
    return ray.get_actor(name, namespace=namespace)


async def find_actor(name: str, namespace: str) -> Handle:
    """Raises ``ValueError`` when there is none of this name, ``TimeoutError`` when Ray does not answer."""
    async with asyncio.timeout(LOOKUP_SECONDS):
        return await asyncio.to_thread(find_actor_blocking, name, namespace)


def start_again(handle: Handle) -> None:
    """Has Ray kill the actor's process and start another. Whatever the old one still does, the claims and epochs of the
    new one fence it."""
    ray.kill(handle, no_restart=False)


def this_node() -> str:
    """The id of the node that this process runs on."""
    return ray.get_runtime_context().get_node_id()
