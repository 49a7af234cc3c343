"""What Mnemon says to something told, when its model found no words that may be said.

The choice rests on the message alone, so that the same words get the same reply, and nothing in it claims anything.
"""

from __future__ import annotations

import re
import zlib

_SAD = re.compile(
    r"""\b(?:
        died | dead | death | passed\ away | funeral | cancer | grief | widow(?:ed|er)? | lost\ (?:my|our|the\ baby)
        | miss(?:ing|es)?\ (?:him|her|them|you) | divorc\w* | broke\ up | broken | hurts? | pain(?:ful)? | hospital
        | redundan\w+ | sacked | fired | cried | crying | awful | terrible | horrible | nightmare | exhaust\w+
        | lonely | scared | worried | nervous | anxious | sad | gutted | bad\ day | in\ bits
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)
_GLAD = re.compile(
    r"""\b(?:
        won | engaged | pregnant | newborn | promot(?:ed|ion) | got\ the\ (?:job|keys|place) | graduat\w+ | finally
        | passed\ (?:my|his|her|their|the)\ \w+ | brilliant | fantastic | amazing | so\ happy | over\ the\ moon
        | can't\ wait | best\ (?:day|meal|thing)
    )\b | !!""",
    re.IGNORECASE | re.VERBOSE,
)
_SORRY = ("I'm sorry to hear that. I'm listening, and I'll remember it.", "That sounds hard. I'll remember it.")
_NICE = ("That's good to hear! I'll remember it.", "How nice! I'll keep that in mind.")
_PLAIN = (
    "Noted. I'll remember that.",
    "Got it, I'll keep that in mind.",
    "Thanks for telling me. I'll remember it.",
    "All right, I'll remember that.",
)
_CHAT = ("I see.", "I'm listening.", "Fair enough.", "I hear you.")
_PROMISE = re.compile(r"\bI(?:'ll| will) (?:remember|keep)\b|^noted\b", re.IGNORECASE)
ONLY_HERE = "This chat is temporary: it is remembered until you leave it, and nothing of it is kept."
# Shorter messages than this are talk rather than news.
_NEWS_WORDS = 6


def acknowledge(text: str) -> str:
    """A reply to ``text`` that claims nothing."""
    choices = _fitting(text)
    return choices[zlib.crc32(text.encode()) % len(choices)]


def promises(answer: str) -> bool:
    """Whether ``answer`` says that something will be remembered."""
    return bool(_PROMISE.search(answer))


def _fitting(text: str) -> tuple[str, ...]:
    sad, glad = bool(_SAD.search(text)), bool(_GLAD.search(text))
    if sad != glad:
        return _SORRY if sad else _NICE
    return _PLAIN if len(text.split()) >= _NEWS_WORDS else _CHAT
