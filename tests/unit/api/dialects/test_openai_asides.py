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
AUTOCOMPLETE = (
    "### Task:\nYou are an autocompletion system. Continue the text in `<text>` based on the **completion type** in "
    f"`<type>` and the given language.\n### Context:\n{HISTORY}\n<type>General</type>\n<text>The sun</text>\n"
)
EMOJI = (
    "Your task is to reflect the speaker's likely facial expression through a fitting emoji. Interpret emotions from "
    "the message.\n\nMessage: ```Hi```"
)
MERGED = (
    'You have been provided with a set of responses from various models to the latest user query: "Hi"\n\n'
    'Responses from models: """Hello"""'
)
FOUND = (
    "### Task:\nRespond to the user query using the provided context, incorporating inline citations in the format "
    "[id] **only when the <source> tag includes an explicit id attribute**.\n\n"
    '<context>\n<source id="1">Kiel is in the north.</source>\n</context>\n\nWhere is Kiel?'
)
LIBRECHAT_ASSISTANTS = (
    "Please generate a concise title (max 40 characters) for a conversation that starts with:\nUser: Hi\nAssistant: "
    "Hello\n\nTitle:"
)
LIBRECHAT = (
    "Provide a concise, 5-word-or-less title for the conversation, using title case conventions. Only return the title "
    "itself.\n\nConversation:\nUser: Hi\nAI: Hello"
)
LIBRECHAT_STRUCTURED = (
    "Analyze this conversation and provide:\n1. The detected language of the conversation\n2. A concise title in the "
    "detected language (5 words or less, no punctuation or quotation)\n\nUser: Hi\nAI: Hello"
)


@pytest.mark.parametrize(
    "text",
    [
        *(TITLE, TAGS, FOLLOW_UPS, QUERIES, AUTOCOMPLETE, EMOJI, MERGED, f"\n{TITLE}"),
        *(LIBRECHAT, LIBRECHAT_STRUCTURED, LIBRECHAT_ASSISTANTS),
    ],
)
def test_a_front_ends_own_request_is_known(text: str) -> None:
    assert is_aside(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Can you generate a concise title for my essay?",
        "### Task:\nWrite a poem",
        FOUND,
        f"What does this mean? {TITLE}",
        "Analyze this conversation and provide:\n1. A summary",
    ],
)
def test_what_a_person_says_is_not(text: str) -> None:
    assert not is_aside(text)
