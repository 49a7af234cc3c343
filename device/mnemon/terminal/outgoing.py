"""What would leave this device, as a person sees it: the text as written and as it goes, with what differs marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnemon.terminal.text import plain

if TYPE_CHECKING:
    from rich.text import Text

    from mnemon.privacy.guard import Outgoing


def marked(words: str, outgoing: Outgoing) -> tuple[Text, Text]:
    """What was written with the private stretches struck through, and what would leave with placeholders marked."""
    from rich.text import Text

    wrote, leaves, at = Text(), Text(), 0
    for one in outgoing.findings:
        between = plain(words[at : one.finding.start])
        wrote.append(between).append(plain(one.finding.value), "red strike")
        leaves.append(between).append(one.placeholder, "bold green")
        at = one.finding.end
    wrote.append(plain(words[at:]))
    leaves.append(plain(words[at:]))
    return wrote, leaves
