"""What a finish reason means, whichever server gives it.

``_KNOWN`` has the reasons of OpenAI, Azure, vLLM, SGLang, TGI, llama.cpp, Ollama, Mistral, DeepSeek, OpenRouter,
Together and Z.ai, and of Anthropic, Google, Bedrock and Cohere behind proxies that do not translate them. Servers
invent more of them. A word that none uses for a whole answer (``_WORDS``) tells what the others mean: an answer that
was cut short must not look whole because its reason is new. Any other one, such as SGLang's empty text or DashScope's
"null" in each chunk, says nothing.
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache


class Ending(Enum):
    WHOLE = "whole"
    LENGTH = "length"
    FILTERED = "filtered"
    TOOLS = "tools"
    """The model asked for tools."""
    FAILED = "failed"


_KNOWN = {
    **dict.fromkeys(("stop", "stop_sequence", "stop_token", "eos", "eos_token", "normal"), Ending.WHOLE),
    **dict.fromkeys(("end", "end_turn", "end_of_turn", "complete", "completed", "done"), Ending.WHOLE),
    **dict.fromkeys(("finish", "finished"), Ending.WHOLE),
    "repetition": Ending.LENGTH,
    **dict.fromkeys(("refusal", "recitation", "spii", "language", "blocked"), Ending.FILTERED),
    "insufficient_system_resource": Ending.FAILED,
}
_WORDS = (
    (Ending.FILTERED, ("filter", "sensitive", "safety", "prohibited", "blocklist", "toxic", "guardrail", "moderation")),
    (Ending.FILTERED, ("policy",)),
    (Ending.FAILED, ("error", "abort", "cancel", "timeout", "fail", "malformed", "unexpected")),
    (Ending.TOOLS, ("tool", "function")),
    (Ending.LENGTH, ("length", "max_", "limit", "exceeded", "truncat", "budget")),
)
"""The first line that fits counts."""


@lru_cache(maxsize=256)
def ending(reason: str) -> Ending | None:
    """Returns what a finish reason means; None if it says nothing."""
    name = reason.strip().lower().removeprefix("finish_reason_")
    if name in _KNOWN:
        return _KNOWN[name]
    return next((means for means, words in _WORDS if any(word in name for word in words)), None)
