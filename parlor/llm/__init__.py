"""The language model: personas, the prompt's memory, OpenAI-compatible chat, and a demo model to run without one."""
