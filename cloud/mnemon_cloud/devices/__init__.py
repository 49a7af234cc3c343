"""Devices: how one gets in, proves itself at each call, changes its key and leaves."""
