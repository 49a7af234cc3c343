"""``mnemon eval``: how well it remembers and answers, and how well a chat model does by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnemon.commands import output
from mnemon.commands.app import App, pass_app
from mnemon.commands.eval_learning import evaluate_learning
from mnemon.commands.eval_memory import evaluate_memory
from mnemon.errors import InputError

if TYPE_CHECKING:
    from mnemon.runtime.catalog import Placement

path_option = click.option(
    "--path", required=True, type=click.Path(exists=True, path_type=Path), help="Where the data is."
)


@click.group("eval")
def evaluate() -> None:
    """Measure recall and answers on real data. Your own memory is not touched."""


evaluate.add_command(evaluate_learning)
evaluate.add_command(evaluate_memory)


@evaluate.command("spoken")
@path_option
@click.option("--among", type=click.IntRange(min=1), help="Only find what was told, among so many other messages.")
@click.option("--among-from", type=click.Path(path_type=Path), help="Take those from this folder's dialogues.")
@click.option("--among-talks", is_flag=True, help="As whole talks, each message with who said it.")
@output.json_option
@pass_app
def evaluate_spoken(
    app: App, path: Path, among: int | None, among_from: Path | None, among_talks: bool, as_json: bool
) -> None:
    """How people really talk: what was told, what was not, and free chats, by kind."""
    from mnemon.evaluation import among as crowd
    from mnemon.evaluation import spoken

    if (among_from is not None or among_talks) and among is None:
        raise InputError("--among-from needs --among.", hint="Say among how many, such as --among 10000.")
    if among is not None:
        with output.progress("Asked") as seen:
            found = crowd.run(path / "told-facts.jsonl", among, among_from, as_talks=among_talks, progress=seen)
        _print_figures(found, as_json=as_json)
        return
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


@evaluate.command("changes")
@click.option("--path", type=click.Path(exists=True, path_type=Path), help="Changes of your own, as JSON Lines.")
@output.json_option
@pass_app
def evaluate_changes(app: App, path: Path | None, as_json: bool) -> None:
    """A hundred life changes of sixteen kinds: is the present told as present, and the past as past?"""
    from mnemon.evaluation import changes

    with output.progress("Asked") as seen:
        figures = changes.run(path, model=app.model, progress=lambda _what, done, total: seen(done, total))
    _print_figures(figures, as_json=as_json)


@evaluate.command("forget")
@path_option
@output.json_option
@pass_app
def evaluate_forget(app: App, path: Path, as_json: bool) -> None:
    """Requests to forget in the owner's words: is all of it gone, and everything else still there?"""
    from mnemon.evaluation import forget_requests

    with output.progress("Asked") as seen:
        figures = forget_requests.run(path, model=app.model, progress=lambda _what, done, total: seen(done, total))
    _print_figures(figures, as_json=as_json)


@evaluate.command("privacy")
@path_option
@output.json_option
def evaluate_privacy(path: Path, as_json: bool) -> None:
    """Messages with what must not leave and what must stay: what share of each is as it should be?"""
    from mnemon.evaluation import redaction

    _print_figures(redaction.run(path), as_json=as_json)


@evaluate.command("routing")
@path_option
@click.option("--plot", type=click.Path(path_type=Path), help="Draw quality over cost to this SVG file.")
@output.json_option
@pass_app
def evaluate_routing(app: App, path: Path, plot: Path | None, as_json: bool) -> None:
    """Questions labelled local or cloud: are they told apart, at what share of cloud calls, how fast?"""
    from mnemon.evaluation import routing

    figures = routing.run(
        path / "routing.jsonl" if path.is_dir() else path, threshold=app.settings().routing.threshold
    )
    if plot is not None:
        try:
            plot.write_text(routing.chart(figures), "utf-8")
        except OSError as error:
            raise InputError(f"{plot} cannot be written: {error}.", hint="Name another file.") from error
    _print_figures(figures, as_json=as_json)


@evaluate.command("built-in")
@click.option("--model", metavar="NAME", help="Another model: a name from `mnemon models list`, or a GGUF file.")
@click.option("--cases", type=click.Path(path_type=Path), help="Cases of your own, as JSON Lines.")
@click.option("--heldout", type=click.Path(path_type=Path), help="A folder of held-out text to measure losses on.")
@click.option(
    "--heldout-rows", default=40, show_default=True, type=click.IntRange(min=1), help="Rows of each such file."
)
@click.option(
    "--memories",
    type=click.Choice(["system", "message"]),
    help="Where recalled memories go in the prompt, if not where the catalog says.",
)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads; 1 is much the fastest on a busy machine.")
@click.option("--transcripts", type=click.Path(path_type=Path), help="Write every case with its answer to this file.")
@output.json_option
@pass_app
def evaluate_built_in(
    app: App,
    model: str | None,
    cases: Path | None,
    heldout: Path | None,
    heldout_rows: int,
    memories: Placement | None,
    threads: int | None,
    transcripts: Path | None,
    as_json: bool,
) -> None:
    """A chat model by itself, the built-in one unless named: facts, honesty, extraction, small talk, speed."""
    from mnemon.evaluation import built_in, built_in_cases, held_out
    from mnemon.runtime import catalog

    read = built_in_cases.read_cases(cases)
    files = held_out.held_out_files(heldout) if heldout else []
    spec = catalog.resolve(model or app.model or catalog.BUILT_IN, app.home)
    settings = app.settings().model
    settings = replace(settings, threads=threads or settings.threads)
    with _transcripts(transcripts) as keep, built_in.opened(spec, settings, memories) as loaded:
        report = {**built_in.described(loaded), "cases_sha256": read.sha256}
        with output.progress("Asked") as seen:
            report |= built_in.run(loaded, read.cases, progress=seen, keep=keep)
        with output.progress("Read") as seen:
            report |= held_out.run(loaded, files, rows=heldout_rows, progress=seen)
    output.note(f"{report['cases']} cases in {report['seconds']:.0f} s.")
    if as_json:
        output.print_json(report)
    else:
        output.print_rows(_table(report))


def _table(report: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    yield "model", report["model"], f"{report['parameters'] / 1e6:.1f}M weights, {report['file_bytes'] / 1e6:.1f} MB"
    where = {"system": "with the instructions", "message": "before the message"}
    yield "memories", report["memories"], where[report["memories"]]
    yield "cases", f"{report['cases']:,}", ""
    for name, value in report["figures"].items():
        counted = report["by_task"].get(name)
        yield name.replace("_", " "), f"{value:.3f}", f"{counted['right']} of {counted['of']}" if counted else ""
    for name, rate in report["speed"].items():
        yield name.removesuffix("_tokens_per_s"), f"{rate:,.0f}", "tokens a second"
    for name, loss in report["heldout"].items():
        yield f"held out: {name}", f"{loss:.3f}", f"nats a token, {report['heldout_per_byte'][name]:.3f} a byte"


@contextmanager
def _transcripts(path: Path | None) -> Iterator[Callable[[dict[str, Any]], None] | None]:
    """Something that writes a line at once, so that an interrupted run leaves what it had."""
    if path is None:
        yield None
        return
    try:
        file = path.open("w", encoding="utf-8", buffering=1)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error}.", hint="Name another file.") from error
    with file:
        yield lambda row: print(json.dumps(row, ensure_ascii=False), file=file)


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
