"""Learns to turn a question's vector towards those of what answers it: ``python -m train_recall`` in ``scripts/``."""
