"""A language model to run without one: a real HTTP server that speaks OpenAI's chat completions."""
