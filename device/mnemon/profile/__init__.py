"""What is known about the owner, in a few lines, each with the facts it rests on."""

from __future__ import annotations

from mnemon.profile.profile import Profile, ProfileLine

__all__ = ["Profile", "ProfileLine"]
