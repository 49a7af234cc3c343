"""Measuring the product on real data: what it finds, what it says, how long it takes."""
