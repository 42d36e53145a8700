"""Models behind an OpenAI-compatible address: one asynchronous client, its limits and errors; no torch, no SDK."""
