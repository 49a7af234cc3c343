"""What fills the window: the chat, and what opens above it."""
