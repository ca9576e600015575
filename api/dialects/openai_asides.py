"""Requests that front ends send about a conversation and that are no part of it: for a title, tags, follow-up
questions, search queries. They come with the conversation's own id, so they are told by how they begin."""

from __future__ import annotations

_OPEN_WEBUI = "### Task:\n"
"""How all of Open WebUI's task prompts begin (its ``DEFAULT_..._GENERATION_PROMPT_TEMPLATE``s)."""
_OPEN_WEBUI_HAS = ("<chat_history>", "### Chat History:", "<context>")
_LIBRECHAT = (
    "Provide a concise, 5-word-or-less title for the conversation",
    "Please generate a concise, 5-word-or-less title for the conversation",
    "Analyze this conversation and provide:\n1. The detected language of the conversation",
)
"""The title prompts of LibreChat's agents package: ``defaultCompletionPrompt`` and ``defaultTitlePrompt``."""


def is_aside(text: str) -> bool:
    """Whether the text, the last that was said, is a front end's own request."""
    said = text.lstrip()
    if said.startswith(_OPEN_WEBUI):
        return any(mark in said for mark in _OPEN_WEBUI_HAS)
    return said.startswith(_LIBRECHAT)
