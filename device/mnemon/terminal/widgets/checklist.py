"""Things to choose from, each with a box that says in marks whether it is chosen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import OptionList
from textual.widgets.option_list import Option

_BOX = {True: "[x] ", False: "[ ] "}


class Checklist(OptionList):
    """Groups of things to choose from. Textual's own list tells by colour alone what is chosen, and cuts long lines.

    Args:
        groups: A title for each, and what is in it: id and text.
        chosen: The ids that are chosen to begin with.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("space", "select", "Choose", id="checklist.choose")]

    def __init__(self, groups: Sequence[tuple[str, Sequence[tuple[str, str]]]], *, chosen: Iterable[str]) -> None:
        self._texts = {id: text for _, things in groups for id, text in things}
        self._chosen = set(chosen)
        rows: list[Option] = []
        for title, things in groups:
            if things:
                rows.append(Option(Text(title, style="bold"), disabled=True))
                rows += [Option(self._row(id), id=id) for id, _ in things]
        super().__init__(*rows, markup=False)

    @property
    def chosen(self) -> tuple[str, ...]:
        """The ids that are chosen, in their order."""
        return tuple(id for id in self._texts if id in self._chosen)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Space, Enter and a click change what is chosen."""
        event.stop()
        if id := event.option_id:
            self._chosen ^= {id}
            self.replace_option_prompt(id, self._row(id))

    def _row(self, id: str) -> Text:
        return Text(_BOX[id in self._chosen] + self._texts[id])
