"""A stand-in for a language model: an HTTP server with OpenAI's chat completions API."""
