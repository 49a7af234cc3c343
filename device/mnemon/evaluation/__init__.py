"""Benchmarks on real data, and the figures they are told in."""
