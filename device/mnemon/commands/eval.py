"""``mnemon eval``: how well it remembers and answers, on real data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mnemon.commands import output
from mnemon.commands.app import App, pass_app

path_option = click.option(
    "--path", required=True, type=click.Path(exists=True, path_type=Path), help="Where the data is."
)


@click.group("eval")
def evaluate() -> None:
    """Measure recall and answers on real data. Your own memory is not touched."""


@evaluate.command("memory")
@click.option(
    "--dataset", type=click.Choice(["locomo"]), default="locomo", show_default=True, help="What the file is."
)
@path_option
@output.json_option
def evaluate_memory(dataset: str, path: Path, as_json: bool) -> None:
    """Is what was said found again? Recall at 1 to 50, by kind of question."""
    from mnemon.evaluation import locomo

    _print_figures(locomo.run(path), as_json=as_json)


@evaluate.command("spoken")
@path_option
@output.json_option
@pass_app
def evaluate_spoken(app: App, path: Path, as_json: bool) -> None:
    """How people really talk: what was told, what was not, and free chats, by kind."""
    from mnemon.evaluation import spoken

    with output.progress("Asked") as seen:
        figures = spoken.run(path, model=app.model, progress=lambda _what, done, total: seen(done, total))
    _print_figures(figures, as_json=as_json)


@evaluate.command("told")
@output.json_option
@pass_app
def evaluate_told(app: App, as_json: bool) -> None:
    """Forty facts of ten kinds told and asked for the next day, and ten questions about what was never told."""
    from mnemon.evaluation import spoken

    with output.progress("Asked") as seen:
        figures = spoken.run_told(model=app.model, progress=lambda _what, done, total: seen(done, total))
    _print_figures(figures, as_json=as_json)


def _print_figures(figures: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.print_json(figures)
    else:
        output.print_rows(_flat(figures))


def _flat(figures: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in figures.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{name} ")
        elif not isinstance(value, list):  # transcripts are for --json
            rows.append((prefix + name, f"{value:.3f}" if isinstance(value, float) else str(value)))
    return rows
