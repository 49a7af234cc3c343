"""What may leave the device: what is private in a text, what stands in its place, who said yes, and what left."""
