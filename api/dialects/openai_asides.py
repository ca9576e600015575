"""Requests that front ends send about a conversation and that are no part of it: for a title, tags, follow-up
questions, search queries. They come with the conversation's own id, so they are told by how they begin."""

from __future__ import annotations

_OPEN_WEBUI = "### Task:\n"
"""How Open WebUI's task prompts begin (its ``DEFAULT_..._GENERATION_PROMPT_TEMPLATE``s); so does a person's question
with what was found for it (``DEFAULT_RAG_TEMPLATE``), which has a ``<context>`` and no history."""
_OPEN_WEBUI_HAS = ("<chat_history>", "### Chat History:")
_OPEN_WEBUI_OTHERS = (
    "Your task is to reflect the speaker's likely facial expression through a fitting emoji",
    "You have been provided with a set of responses from various models to the latest user query",
)
"""How those begin that do not say ``### Task``: for an emoji, and to merge the answers of several models."""
_LIBRECHAT = (
    "Please generate a concise title (max 40 characters) for a conversation that starts with:",
    "Provide a concise, 5-word-or-less title for the conversation",
    "Please generate a concise, 5-word-or-less title for the conversation",
    "Analyze this conversation and provide:\n1. The detected language of the conversation",
)
"""The title prompts of LibreChat's agents package, ``defaultCompletionPrompt`` and ``defaultTitlePrompt``, and of its
assistants."""


def is_aside(text: str) -> bool:
    """Whether the text, the last that was said, is a front end's own request."""
    said = text.lstrip()
    if said.startswith(_OPEN_WEBUI):
        return any(mark in said for mark in _OPEN_WEBUI_HAS)
    return said.startswith(_OPEN_WEBUI_OTHERS + _LIBRECHAT)
