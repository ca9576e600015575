"""What front ends ask for behind a conversation, as they send it (their sources say how it begins)."""

from __future__ import annotations

import pytest

from api.dialects.openai_asides import is_aside

pytestmark = pytest.mark.unit

HISTORY = "### Chat History:\n<chat_history>\nUSER: Hi\nASSISTANT: Hello\n</chat_history>"
TITLE = f"### Task:\nGenerate a concise, 3-5 word title with an emoji summarizing the chat history.\n{HISTORY}"
TAGS = f"### Task:\nGenerate 1-3 broad tags categorizing the main themes of the chat history.\n\n{HISTORY}"
FOLLOW_UPS = f"### Task:\nSuggest 3-5 relevant follow-up questions or prompts that the user might ask.\n{HISTORY}"
QUERIES = f"### Task:\nAnalyze the chat history to determine the necessity of generating search queries.\n{HISTORY}"
LIBRECHAT = (
    "Provide a concise, 5-word-or-less title for the conversation, using title case conventions. Only return the title "
    "itself.\n\nConversation:\nUser: Hi\nAI: Hello"
)
LIBRECHAT_STRUCTURED = (
    "Analyze this conversation and provide:\n1. The detected language of the conversation\n2. A concise title in the "
    "detected language (5 words or less, no punctuation or quotation)\n\nUser: Hi\nAI: Hello"
)


@pytest.mark.parametrize("text", [TITLE, TAGS, FOLLOW_UPS, QUERIES, f"\n{TITLE}", LIBRECHAT, LIBRECHAT_STRUCTURED])
def test_a_front_ends_own_request_is_known(text: str) -> None:
    assert is_aside(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Can you generate a concise title for my essay?",
        "### Task:\nWrite a poem",
        f"What does this mean? {TITLE}",
        "Analyze this conversation and provide:\n1. A summary",
    ],
)
def test_what_a_person_says_is_not(text: str) -> None:
    assert not is_aside(text)
