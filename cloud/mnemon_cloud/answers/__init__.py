"""Hard questions: who may ask now, the engine that answers, and the stream back."""
