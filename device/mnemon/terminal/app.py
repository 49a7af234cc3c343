"""The app: what all screens share, from the model's state to the owner's keys and colours."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

from textual import events, on, work
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from mnemon import settings as settings_module
from mnemon.chapters import sentence
from mnemon.errors import MnemonError
from mnemon.terminal import commands, keymap, terminal_keys
from mnemon.terminal.clipboard import copy_native
from mnemon.terminal.screens.chat import ChatScreen
from mnemon.terminal.studying import LOOK_EVERY_S, Study, quiet_for

if TYPE_CHECKING:
    from mnemon.assistant import Assistant

log = logging.getLogger(__name__)

QUIT_WAIT_S = 3.0
"""Quitting waits this long for an answer to end and be saved; a decode takes far less."""


class MnemonApp(App[None], inherit_bindings=False):
    """Mnemon in a terminal.

    Args:
        assistant: Opened by the caller, and closed by it.
    """

    VERTICAL_BREAKPOINTS = [(0, "-short"), (16, "-tall")]  # noqa: RUF012 - as Textual declares it

    TITLE = "Mnemon"
    CSS_PATH = "app.tcss"
    NOTIFICATION_TIMEOUT = 4
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help", "Help", id="app.help", tooltip="Every key"),
        Binding("ctrl+p", "command_palette", "Commands", id="app.commands", show=False, priority=True),
        Binding("ctrl+q", "quit", "Quit", id="app.quit", show=False, priority=True),
        Binding("ctrl+c", "interrupt", "Copy the selection, or stop; twice quits", id="app.interrupt", show=False),
    ]

    def __init__(self, assistant: Assistant) -> None:
        terminal_keys.teach()
        super().__init__()
        self.assistant = assistant
        self.model_ready = False
        self.chosen_model = self.model_name = assistant.settings.model.name
        self._interrupted_at = 0.0
        self._theme_chosen = False
        self._used_at = time.monotonic()
        self._study: Study | None = None
        own = assistant.settings.terminal
        self.keymap_in_use, self._keymap_problems = keymap.check(own.keymap, enter_sends=own.enter_sends)

    def get_default_screen(self) -> Screen[None]:
        """The chat is the floor everything else stands on."""
        return ChatScreen(self.assistant)

    @property
    def chat(self) -> ChatScreen:
        """The chat screen."""
        return next(screen for screen in self.screen_stack if isinstance(screen, ChatScreen))

    def on_mount(self) -> None:
        """Put on the owner's theme and keys."""
        theme = self.assistant.settings.terminal.theme
        if theme in self.available_themes:
            self.theme = theme
        else:
            self.say(f"There is no theme {theme}. Ctrl+P, Theme shows them.", problem=True)
        self._theme_chosen = True
        self.set_keymap(self.keymap_in_use)
        for problem in self._keymap_problems:
            self.say(problem, problem=True)
        self.set_interval(LOOK_EVERY_S, self.learn_if_quiet)

    def watch_theme(self, theme: str) -> None:
        """Remember the theme the owner chose."""
        if self._theme_chosen and theme != self.assistant.settings.terminal.theme:
            self.save("terminal", "theme", theme)

    # -- the model -------------------------------------------------------------------------------------------------

    @work(group="model", exclusive=True)
    async def load_model(self) -> None:
        """Load the model in the background; then catch up with what was said or imported meanwhile."""
        await self._take_model(None)
        try:
            await asyncio.to_thread(self.assistant.catch_up)
        except MnemonError as error:
            self.report(error)

    @work(group="model", exclusive=True)
    async def use_model(self, name: str) -> None:
        """Talk with another model from now on, also after a restart."""
        if await self._take_model(name):
            self.chosen_model = name
            self.save("model", "name", name)
            self.say(f"{self.model_name} talks from now on.")

    async def _take_model(self, name: str | None) -> bool:
        await self._end_study()  # what it tunes fits the model it began with
        status = self.chat.status
        status.model = self.model_name if name is None else name
        status.activity = "loading model…"
        assistant = self.assistant
        try:
            if name is None:
                info = (await asyncio.to_thread(lambda: assistant.model)).info
            else:
                info = await asyncio.to_thread(assistant.use_model, name)
        except Exception as error:  # noqa: BLE001 - the owner goes on writing and chooses another model
            status.model = self.model_name if self.model_ready else f"{self.model_name}: not loaded"
            self.chat.notice(self.line_about(error))
            return False
        finally:
            if not self.chat.answering:
                status.activity = ""
        self.model_ready = True
        self.model_name = status.model = info.name
        status.context_used, status.context_size = 0, info.context_tokens
        status.speed = 0.0
        for note in info.notes:
            self.say(note)
        return True

    # -- lessons ---------------------------------------------------------------------------------------------------

    @property
    def quiet(self) -> timedelta:
        """How long nobody has used the app."""
        return quiet_for(self._used_at)

    @property
    def learning(self) -> bool:
        """Whether a lesson is being held."""
        return self._study is not None

    async def on_event(self, event: events.Event) -> None:
        """Somebody is there: keys and mouse come through here first, whoever they are for."""
        if isinstance(event, events.InputEvent | events.Paste):
            self._used_at = time.monotonic()
        await super().on_event(event)

    @work(group="study", exclusive=True)
    async def learn_if_quiet(self) -> None:
        """Begin a lesson if the owner's conditions hold."""
        if self.learning or not self.model_ready or self.chat.answering:
            return
        try:
            standing = await asyncio.to_thread(self.assistant.lessons.standing, self.quiet)
        except MnemonError as error:
            log.warning("no lesson: %s", error.code)
            return
        if standing.verdict.may and not self.learning:
            self._learn(by_itself=True)

    def learn_now(self) -> None:
        """Begin a lesson, whatever the conditions say."""
        if self.learning:
            self.say("A lesson is being held already.")
        elif not self.model_ready:
            self.say("The model is not loaded yet.", problem=True)
        else:
            self._learn(by_itself=False)

    def _learn(self, *, by_itself: bool) -> None:
        self._study = Study(self.assistant.lessons, self.post_message, by_itself=by_itself)
        self.chat.status.lesson = "learning…"
        self._study.start()

    @on(Study.Went)
    def lesson_went_on(self, message: Study.Went) -> None:
        """Show how far it is."""
        if self.learning:
            self.chat.status.lesson = f"learning {message.progress.share:.0%}"

    @on(Study.Ended)
    def lesson_ended(self, message: Study.Ended) -> None:
        """Say what came of it: always when the owner asked for it, else only when something was learned."""
        self._study = None
        self.chat.status.lesson = ""
        if message.error is not None:
            if message.by_itself:
                log.warning("a lesson failed: %s", self.line_about(message.error))
            else:
                self.report(message.error)
        elif message.outcome is not None and (message.outcome.accepted or not message.by_itself):
            key = self.key_of("chat.learned")
            self.say(f"{sentence(message.outcome)} {key} shows what was learned.")

    async def _end_study(self) -> None:
        study = self._study
        if study is not None:
            study.stop()
            await asyncio.to_thread(study.join, QUIT_WAIT_S)

    # -- telling the owner -----------------------------------------------------------------------------------------

    def say(self, line: str, *, problem: bool = False) -> None:
        """One line that goes away by itself."""
        self.notify(line, severity="warning" if problem else "information", markup=False)

    def report(self, error: Exception) -> None:
        """One line about something that went wrong."""
        self.notify(self.line_about(error), severity="error", markup=False, timeout=8)

    def line_about(self, error: Exception) -> str:
        """What happened and what to do, in one line; surprises are logged, without what was said."""
        if isinstance(error, MnemonError):
            return error.one_line()
        frames = "".join(traceback.format_tb(error.__traceback__))
        log.error("%s\n%s", type(error).__name__, frames)
        return f"Something went wrong inside Mnemon ({type(error).__name__}). Nothing you wrote is lost."

    # -- copying ---------------------------------------------------------------------------------------------------

    async def copy(self, text: str, what: str) -> None:
        """Copy by every way there is, and say which worked."""
        super().copy_to_clipboard(text)
        copied = await asyncio.to_thread(copy_native, text)
        self.say(copied.sentence(what))

    def copy_to_clipboard(self, text: str) -> None:
        """What Textual calls when a selection is copied."""
        self.run_worker(self.copy(text, "the selection"), group="copy")

    # -- keys and commands -----------------------------------------------------------------------------------------

    def key_of(self, command_id: str) -> str:
        """The first key of a command, as people write it."""
        found = next(c for c in keymap.commands(self.keymap_in_use) if c.id == command_id)
        return keymap.display(found.keys[0])

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Everything Mnemon can do, for the command palette."""
        return commands.every(self)

    def save(self, section: str, key: str, value: str | bool) -> None:
        """Keep a setting for the next time."""
        try:
            settings_module.save_value(self.assistant.home, section, key, value)
        except (MnemonError, OSError) as error:
            self.report(error)

    def action_help(self) -> None:
        """Show every key; again, close the list."""
        from mnemon.terminal.screens.help import HelpScreen

        if isinstance(self.screen, HelpScreen):
            self.screen.dismiss(None)
        else:
            self.push_screen(HelpScreen())

    def action_interrupt(self) -> None:
        """Ctrl+C with nothing selected: stop the answer; twice in two seconds quits."""
        now = time.monotonic()
        if self.chat.answering:
            self.chat.stop_answer()
        elif now - self._interrupted_at < 2:
            self.run_worker(self.action_quit())
        else:
            self.say(f"{self.key_of('app.quit')}, or Ctrl+C again, quits.")
        self._interrupted_at = now

    async def action_quit(self) -> None:
        """Quit; an answer under way is stopped and kept."""
        runner = self.chat.leave_turn()
        if runner is not None:
            await asyncio.to_thread(runner.join, QUIT_WAIT_S)
        await self._end_study()
        self.exit()

    def conversation_forgotten(self, conversation_id: int) -> None:
        """The conversation on screen may be gone: start a new one then."""
        if self.chat.conversation.conversation_id == conversation_id:
            self.chat.action_new()
