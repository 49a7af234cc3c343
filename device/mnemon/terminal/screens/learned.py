"""What Mnemon learned from its owner, in plain words, and the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from mnemon.terminal.screens.base import Connected
from mnemon.terminal.screens.dialogs import Confirm
from mnemon.terminal.text import day_and_time

if TYPE_CHECKING:
    from mnemon.chapters import Chapter
    from mnemon.lessons import Standing


class LearnedScreen(Connected, ModalScreen[None]):
    """Every version of what was learned: from what, what it gained, and which one is in use."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "learn", "Learn now", id="learned.learn"),
        Binding("r", "use", "Use this one", id="learned.use"),
        Binding("escape,f10", "close", "Close", id="learned.close"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._chapters: list[Chapter] = []

    def compose(self) -> ComposeResult:
        """Where things stand, the versions, what the highlighted one is, and the keys."""
        with Vertical(classes="page"):
            yield Static("What was learned", classes="title", markup=False)
            yield Static("", id="now", markup=False)
            yield OptionList(id="versions", markup=False)
            yield Static("", id="about", markup=False)
            yield Static("l learn now   r use this one   esc close", classes="keys", markup=False)

    def on_mount(self) -> None:
        """Show it."""
        self.fill()

    @work(exclusive=True, group="fill")
    async def fill(self) -> None:
        """Read everything again."""
        with self.reporting():
            lessons = self.assistant.lessons
            standing = await self.blocking(lessons.standing, self.mnemon.quiet)
            self._chapters = await self.blocking(lessons.chapters)
            self.query_one("#now", Static).update(_standing(standing, learning=self.mnemon.learning))
            options = self.query_one(OptionList)
            options.set_options([Option(_line(chapter), id=str(chapter.version)) for chapter in self._chapters])
            at = next((i for i, chapter in enumerate(self._chapters) if chapter.in_use), 0)
            options.highlighted = at
            options.focus()

    @on(OptionList.OptionHighlighted)
    def show_about(self) -> None:
        """Say what the highlighted version was made from."""
        chapter = self._highlighted()
        self.query_one("#about", Static).update("" if chapter is None else "\n".join(chapter.about))

    @on(OptionList.OptionSelected)
    def chosen(self) -> None:
        """Enter uses it."""
        self.action_use()

    @work
    async def action_use(self) -> None:
        """Answer with the highlighted version from now on, after asking."""
        chapter = self._highlighted()
        if chapter is None or chapter.in_use:
            return
        details = "The versions after it are let go." if chapter.version else "What was learned is let go."
        if await self.app.push_screen_wait(Confirm(f"Go back to {chapter.name}?", details)):
            with self.reporting():
                await self.blocking(self.assistant.lessons.rollback, chapter.version)
                self.mnemon.say(f"{chapter.name} answers from now on.")
            self.fill()

    def action_learn(self) -> None:
        """Begin a lesson now, whatever the conditions say."""
        self.mnemon.learn_now()
        self.fill()

    def action_close(self) -> None:
        """Back to the chat."""
        self.dismiss(None)

    def _highlighted(self) -> Chapter | None:
        at = self.query_one(OptionList).highlighted
        return self._chapters[at] if at is not None and at < len(self._chapters) else None


def _standing(standing: Standing, *, learning: bool) -> Text:
    text = Text(standing.recorded)
    if learning:
        return text.append("\nA lesson is being held now; the status line shows how far it is.")
    if standing.verdict.may:
        return text.append("\nA lesson begins by itself in a moment.")
    text.append("\nNo lesson begins by itself now: ")
    text.append("; ".join(standing.verdict.against) + ".")
    if standing.verdict.unknown:
        text.append(f" This machine does not tell {' or '.join(standing.verdict.unknown)}.", style="italic")
    return text


def _line(chapter: Chapter) -> Text:
    text = Text(chapter.name, style="bold" if chapter.in_use else "")
    if chapter.at is not None:
        text.append(f"  {day_and_time(chapter.at)}", style="dim")
    if chapter.in_use:
        text.append("  in use", style="bold")
    return text.append(f"\n  {chapter.gain}")
