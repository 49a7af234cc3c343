"""``mnemon eval memory``: what recall finds in published data, and how long it takes at sizes."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import click

from mnemon.commands import output
from mnemon.errors import InputError, TransferError
from mnemon.evaluation.datasets import NAMES, samples


@click.command("memory")
@click.option("--dataset", type=click.Choice(NAMES), default="locomo", show_default=True, help="What the file is.")
@click.option("--path", type=click.Path(exists=True, path_type=Path), help="Where the data is.")
@click.option("--samples", "first", type=click.IntRange(min=1), help="Only the first so many samples of it.")
@click.option("--table", "table_file", type=click.Path(path_type=Path), help="Write the tables to this file.")
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), help="Write a chart to this SVG file.")
@output.json_option
def evaluate_memory(
    dataset: str,
    path: Path | None,
    first: int | None,
    table_file: Path | None,
    plot_file: Path | None,
    as_json: bool,
) -> None:
    """Is what was said found again? Recall at 1 to 50, by kind of question."""
    from mnemon.evaluation import report, retrieval

    if path is None:
        raise InputError("There is no --path.", hint=f"Give {dataset}'s file with --path FILE.")
    with output.progress("Asked") as seen:
        figures = retrieval.run(islice(samples(dataset, path), first), progress=seen)
    if not figures["questions"]:
        raise TransferError(f"{path} holds no question with evidence.", hint=f"Is it a file of {dataset}?")
    tables = report.recall_tables(figures)
    _write(table_file, tables)
    _write(plot_file, report.recall_chart(figures) if plot_file else "")
    if as_json:
        output.print_json(figures)
    else:
        click.echo(tables, nl=False)


def _write(path: Path | None, text: str) -> None:
    if path is None:
        return
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error}.", hint="Name another file.") from error
