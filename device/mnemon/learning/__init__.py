"""Learning on the device without gradients: from what the owner does, in few numbers, kept only when it helps."""
