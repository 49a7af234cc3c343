"""The encrypted memory: what was said, what follows from it, and how it is found again."""
