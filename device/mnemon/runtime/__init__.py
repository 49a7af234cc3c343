"""The local model: loading, prompts, decoding, and the one thread that owns it."""
