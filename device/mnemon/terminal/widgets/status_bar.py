"""The status line: which model, how fast, how full its window is, and how the answer came about."""

from __future__ import annotations

from rich.cells import cell_len
from rich.text import Text
from textual.reactive import reactive
from textual.widget import Widget


class StatusBar(Widget):
    """One line; what fits least goes first when the window is narrow."""

    DEFAULT_CSS = """
    StatusBar { height: 1; padding: 0 1; background: $panel; color: $text-muted; }
    """

    model: reactive[str] = reactive("")
    """The model's name, or what is wrong with it."""
    activity: reactive[str] = reactive("")
    """What is going on, such as ``loading model…``; empty when nothing is."""
    speed: reactive[float] = reactive(0.0)
    """Tokens a second of the last answer; 0 when the model was not asked."""
    context_used: reactive[int] = reactive(0)
    """Tokens in the window."""
    context_size: reactive[int] = reactive(0)
    """Tokens the window holds."""
    route: reactive[str] = reactive("")
    """How the last answer came about: said, quoted, not known."""
    reason: reactive[str] = reactive("")
    """Why it came about like that."""
    dropped: reactive[int] = reactive(0)
    """Oldest messages that left the window."""
    lesson: reactive[str] = reactive("")
    """How far a lesson is; empty when none is held."""
    temporary: reactive[bool] = reactive(False)
    """Nothing of this chat is kept."""

    def parts(self) -> list[tuple[int, str]]:
        """What there is to say, in order, each with how much it matters (a lower number matters more)."""
        parts = [(0, "TEMPORARY")] if self.temporary else []
        if self.activity:
            parts.append((1, self.activity))
        parts.append((2, self.model))
        if self.route:
            parts.append((3, self.route))
        if self.lesson:
            parts.append((4, self.lesson))
        if self.dropped:
            noun = "message" if self.dropped == 1 else "messages"
            parts.append((4, f"⋯ {self.dropped} oldest {noun} left the window"))
        if self.context_size:
            parts.append((5, f"{self.context_used}/{self.context_size}"))
        if self.speed:
            parts.append((6, f"{self.speed:.0f} tok/s"))
        if self.reason:
            parts.append((7, self.reason))
        return [part for part in parts if part[1]]

    def render(self) -> Text:
        """The parts that fit."""
        parts = self.parts()
        while len(parts) > 1 and cell_len(" · ".join(text for _, text in parts)) > self.content_size.width:
            parts.remove(max(parts))
        line = Text(no_wrap=True, overflow="ellipsis")
        for index, (_, text) in enumerate(parts):
            line.append(" · " if index else "")
            line.append(text, style="bold reverse" if text == "TEMPORARY" else "")
        return line
