"""Errors as Ollama writes them: ``{"error": message}``."""

from __future__ import annotations

OLLAMA = "/api/"
"""Paths that speak Ollama's dialect."""


def error_form(message: str) -> dict[str, str]:
    return {"error": message}
