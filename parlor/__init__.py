"""Parlor's domain: rooms, messages, states, their storage and their LLM; no Ray and no HTTP in here."""
