"""Training the built-in models from scratch."""
