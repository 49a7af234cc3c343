"""``mnemon eval learning``: simulated owners, spaces and optimisers, and what each lesson gains."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import click

from mnemon.commands import output
from mnemon.commands.app import App, pass_app
from mnemon.errors import InputError

to_file = click.Path(path_type=Path)


@click.command("learning")
@click.option("--owner", "owners", multiple=True, help="A simulated owner, such as terse or formal; may be repeated.")
@click.option("--space", "spaces", multiple=True, help="What is tuned, such as vector or lora; may be repeated.")
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), default=10.0, show_default=True, help="Of each lesson."
)
@click.option("--evaluations", type=click.IntRange(min=1), help="At most so many measurements in each lesson.")
@click.option(
    "--path", type=click.Path(exists=True, path_type=Path), help="Dialogues to make owners' talks from, too."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of owners and lessons.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads; 1 is much the fastest on a busy machine.")
@click.option("--processor-time", is_flag=True, help="Minutes are the processor's, not the clock's.")
@click.option("--cma-most", type=click.IntRange(min=0), default=64, show_default=True, help="Numbers left to CMA-ES.")
@click.option("--table", "table_path", type=to_file, help="Write Markdown tables to this file.")
@click.option("--plot", "plot_path", type=to_file, help="Draw the losses into this SVG file.")
@output.json_option
@pass_app
def evaluate_learning(
    app: App,
    owners: tuple[str, ...],
    spaces: tuple[str, ...],
    minutes: float,
    evaluations: int | None,
    path: Path | None,
    seed: int,
    threads: int | None,
    processor_time: bool,
    cma_most: int,
    table_path: Path | None,
    plot_path: Path | None,
    as_json: bool,
) -> None:
    """Learning from simulated owners: what each lesson gains on answers it never saw, and what else it costs.

    Six owners (terse, formal, bullets, metric, warm, sailor) have edited some hundred answers each; a lesson of
    --minutes is held for each of them in each --space.
    """
    from mnemon.evaluation import learning
    from mnemon.evaluation.owners import NAMES
    from mnemon.runtime import catalog
    from mnemon.runtime.worker import LocalModel

    for name in owners:
        if name not in NAMES:
            raise InputError(f"There is no simulated owner {name!r}.", hint=f"Known: {', '.join(NAMES)}.")
    settings = app.settings().model
    spec = catalog.resolve(settings.name, app.home)
    chosen = owners or NAMES
    lessons = len(chosen) * len(spaces or (learning.CHOSEN,))
    with (
        LocalModel.load(spec, replace(settings, threads=threads or settings.threads)) as model,
        output.progress("Lessons, in percent:") as seen,
    ):
        done: list[learning.Row] = []

        def keep(row: learning.Row) -> None:
            done.append(row)
            verdict = "kept" if row.accepted else f"not kept: {row.reason}"
            output.note(f"{row.owner}, {row.space}: {row.improvement:+.1%} in {row.seconds:.0f} s, {verdict}")

        rows = learning.run(
            model,
            names=chosen,
            spaces=spaces or (learning.CHOSEN,),
            seconds=60 * minutes,
            evaluations=evaluations,
            corpus=path,
            seed=seed,
            report=lambda _owner, _space, share: seen(round(100 * (len(done) + share)), 100 * lessons),
            keep=keep,
            cma_most=cma_most,
            now=time.process_time if processor_time else time.monotonic,
        )
    for file, text in ((table_path, learning.tables(rows)), (plot_path, learning.chart(rows))):
        if file is not None:
            output.write_file(file, text)
    if as_json:
        output.print_json({"model": settings.name, "lessons": [row.as_dict() for row in rows]})
    else:
        output.say(learning.tables(rows), end="")
