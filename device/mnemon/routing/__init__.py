"""Whether a question stays on the device or is worth asking a bigger model for."""
