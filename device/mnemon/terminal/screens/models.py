"""The models: which there are, which are here, and which one talks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, ProgressBar, Static
from textual.widgets.option_list import Option

from mnemon.errors import MnemonError
from mnemon.terminal.screens.base import Connected
from mnemon.terminal.screens.dialogs import Confirm
from mnemon.terminal.text import size

if TYPE_CHECKING:
    from mnemon.runtime.catalog import ModelSpec


class _PullStopped(MnemonError):
    """Not a failure: the owner stopped the download."""


class ModelsScreen(Connected, ModalScreen[None]):
    """Use an installed model, or pull one from the catalogue; nothing is downloaded without being asked for."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("u", "use", "Use", id="models.use"),
        Binding("p", "pull", "Pull", id="models.pull"),
        Binding("escape,f5", "close", "Close", id="models.close", tooltip="Stop the download, or close"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._specs: list[ModelSpec] = []
        self._here: set[str] = set()
        self._stop = threading.Event()
        self._pulling = ""

    def compose(self) -> ComposeResult:
        """The models, what is known of the highlighted one, and the keys."""
        with Vertical(classes="page"):
            yield Static("Models", classes="title", markup=False)
            yield OptionList(id="models", markup=False)
            yield Static("", id="about", markup=False)
            yield ProgressBar(id="progress", show_eta=True)
            yield Static("u use   p pull   esc close", classes="keys", markup=False)

    def on_mount(self) -> None:
        """Show the models."""
        self.query_one("#progress").display = False
        self.fill()

    @work(exclusive=True, group="fill")
    async def fill(self) -> None:
        """Read what is installed and what the catalogue has."""
        from mnemon.runtime.catalog import catalog, installed

        with self.reporting():
            here = await self.blocking(installed, self.assistant.home)
            every = {spec.name: spec for spec in (*here, *await self.blocking(catalog))}
            every |= {spec.name: spec for spec in here}  # those know their path
            self._here = {spec.name for spec in here}
            self._specs = list(every.values())
            options = self.query_one(OptionList)
            at = options.highlighted or 0
            options.set_options([Option(self._line(spec), id=f"model-{i}") for i, spec in enumerate(self._specs)])
            options.highlighted = min(at, len(self._specs) - 1) if self._specs else None
            options.focus()

    @on(OptionList.OptionHighlighted)
    def show_about(self) -> None:
        """Say more about the highlighted model."""
        if (spec := self._highlighted()) and not self._pulling:
            self.query_one("#about", Static).update(spec.summary)

    @on(OptionList.OptionSelected)
    def chosen(self) -> None:
        """Enter uses a model that is here, and offers to pull one that is not."""
        if spec := self._highlighted():
            if spec.name in self._here:
                self.action_use()
            else:
                self.action_pull()

    def action_use(self) -> None:
        """Let the highlighted model talk from now on."""
        if spec := self._highlighted():
            if spec.name in self._here:
                self.mnemon.use_model(spec.name)
                self.dismiss(None)
            else:
                self.mnemon.say(f"{spec.title} is not here yet. Press p to pull it.")

    @work
    async def action_pull(self) -> None:
        """Download the highlighted model, after asking."""
        spec = self._highlighted()
        if spec is None or self._pulling:
            return
        if spec.name in self._here:
            self.mnemon.say(f"{spec.title} is already here. Press u to use it.")
            return
        details = (
            f"{size(spec.size_bytes)} from {spec.repository}, licence {spec.licence}. "
            f"It needs {size(spec.ram_bytes)} of memory to run. Only the download goes over the network."
        )
        if await self.app.push_screen_wait(Confirm(f"Download {spec.title}?", details)):
            await self._pull(spec)

    async def _pull(self, spec: ModelSpec) -> None:
        from mnemon.runtime.download import pull

        self._pulling = spec.name
        self._stop.clear()
        bar = self.query_one(ProgressBar)
        bar.display = True
        bar.update(total=spec.size_bytes, progress=0)
        self.query_one("#about", Static).update(
            f"Pulling {spec.title}. Esc stops it; it goes on from there next time."
        )

        def progress(done: int, total: int) -> None:
            if self._stop.is_set():
                raise _PullStopped("The download was stopped.", hint="It goes on from there next time.")
            self.app.call_from_thread(bar.update, total=total, progress=done)

        try:
            with self.reporting():
                await self.blocking(pull, spec, self.assistant.home, progress=progress)
                self.mnemon.say(f"{spec.title} is here. Press u to use it.")
        finally:
            self._pulling = ""
            if self.is_mounted:
                bar.display = False
                self.fill()

    def action_close(self) -> None:
        """Stop the download; when there is none, back to the chat."""
        if self._pulling:
            self._stop.set()
        else:
            self.dismiss(None)

    def on_unmount(self) -> None:
        """A download does not outlive its screen."""
        self._stop.set()

    def _highlighted(self) -> ModelSpec | None:
        at = self.query_one(OptionList).highlighted
        return self._specs[at] if at is not None and at < len(self._specs) else None

    def _line(self, spec: ModelSpec) -> Text:
        in_use = spec.name == self.mnemon.chosen_model
        mark = "in use" if in_use else "installed" if spec.name in self._here else "not here"
        line = Text("● " if in_use else "✓ " if spec.name in self._here else "  ").append(spec.title, style="bold")
        figures = f"{size(spec.size_bytes)} · {size(spec.ram_bytes)} RAM · {spec.context} tokens · {spec.licence}"
        return line.append(f"  {mark}\n  {figures}")
