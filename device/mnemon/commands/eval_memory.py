"""``mnemon eval memory``: what recall finds in published data, and how long it takes at sizes."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import click

from mnemon.commands import output
from mnemon.errors import InputError, TransferError
from mnemon.evaluation.datasets import NAMES, samples


@click.command("memory")
@click.option("--dataset", type=click.Choice(NAMES), default="locomo", show_default=True, help="What the file is.")
@click.option("--path", type=click.Path(exists=True, path_type=Path), help="Where the data is.")
@click.option("--samples", "first", type=click.IntRange(min=1), help="Only the first so many samples of it.")
@click.option(
    "--size",
    "sizes",
    type=click.IntRange(min=1),
    multiple=True,
    help="Without data: times and memory among so many made-up memories; may be given several times.",
)
@click.option("--leave-one-out", is_flag=True, help="Choose the weights of recall, and ask each sample with others'.")
@click.option("--ablation", is_flag=True, help="The same, and again without each part of a score.")
@click.option("--table", "table_file", type=click.Path(path_type=Path), help="Write the tables to this file.")
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), help="Write a chart to this SVG file.")
@output.json_option
def evaluate_memory(
    dataset: str,
    path: Path | None,
    first: int | None,
    sizes: tuple[int, ...],
    leave_one_out: bool,
    ablation: bool,
    table_file: Path | None,
    plot_file: Path | None,
    as_json: bool,
) -> None:
    """Is what was said found again, and how fast? Recall at 1 to 50 by kind of question, or times at sizes."""
    if sizes and path is not None:
        raise InputError("--path and --size are two measurements.", hint="Give one of them at a time.")
    if sizes:
        figures, tables, chart = _at_sizes(sorted(set(sizes)))
    elif path is not None and (leave_one_out or ablation):
        _leave_one_out(dataset, path, first, ablation=ablation)
        return
    elif path is not None:
        figures, tables, chart = _on_data(dataset, path, first)
    else:
        raise InputError("There is nothing to measure.", hint="Give --path FILE, or --size N.")
    for file, text in ((table_file, tables), (plot_file, chart)):
        if file is not None:
            output.write_file(file, text)
    if as_json:
        output.print_json(figures)
    else:
        click.echo(tables, nl=False)


def _on_data(dataset: str, path: Path, first: int | None) -> tuple[Any, str, str]:
    """Figures, tables and a chart of what is found."""
    from mnemon.evaluation import report, retrieval

    with output.progress("Asked") as seen:
        figures = retrieval.run(islice(samples(dataset, path), first), progress=seen)
    if not figures["questions"]:
        raise TransferError(f"{path} holds no question with evidence.", hint=f"Is it a file of {dataset}?")
    return figures, report.recall_tables(figures), report.recall_chart(figures)


def _leave_one_out(dataset: str, path: Path, first: int | None, *, ablation: bool) -> None:
    """Print, as JSON, the held-out figures and the weights."""
    from mnemon.evaluation import leave_one_out

    with output.progress("Asked") as seen:
        output.print_json(leave_one_out.run(islice(samples(dataset, path), first), ablation=ablation, progress=seen))


def _at_sizes(counts: list[int]) -> tuple[Any, str, str]:
    """Figures, a table and a chart of how long it takes."""
    from mnemon.evaluation import report, sizes

    with output.progress("Measured") as seen:
        rows = sizes.run(counts, progress=seen)
    return rows, report.size_table(rows), report.size_chart(rows)
