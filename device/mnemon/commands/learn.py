"""``mnemon learn``: lessons from what the owner did with answers, what came of them, and the way back."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnemon import new_file
from mnemon.commands import output
from mnemon.commands.app import App, pass_app
from mnemon.commands.thumbs import blame, edit, praise
from mnemon.commands.words import given
from mnemon.errors import InputError
from mnemon.terminal.text import one_line

if TYPE_CHECKING:
    from types import FrameType

    from mnemon.chapters import Chapter
    from mnemon.learning.examples import Example
    from mnemon.learning.lesson import Outcome, Progress

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


class Span(click.ParamType[float]):
    """A stretch of time such as ``90s``, ``10m`` or ``1h``, in seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds, above 0."""
        if isinstance(value, float):
            return value
        text = str(value).strip().lower()
        unit = text[-1:] if text[-1:] in _UNITS else "s"
        try:
            seconds = float(text.removesuffix(unit)) * _UNITS[unit]
        except ValueError:
            seconds = 0.0
        if not 0 < seconds < float("inf"):
            self.fail(f"{value!r} is no time. Write it as 90s, 10m or 1h.", param, ctx)
        return seconds


@click.group()
def learn() -> None:
    """Learn from what you did with answers; see what was learned; go back."""


@learn.command()
@click.option(
    "--budget", type=Span(), help="How long it may take, such as 90s, 10m or 1h.  [default: learning.minutes]"
)
@click.option("--evaluations", type=click.IntRange(min=1), help="At most so many passes over the examples.")
@click.option("--space", help="What is tuned; `mnemon eval learning` compares them.")
@output.json_option
@pass_app
def run(app: App, budget: float | None, evaluations: int | None, space: str | None, as_json: bool) -> None:
    """Hold a lesson now. Ctrl-C ends it; what it learned so far is judged all the same.

    What was learned is used only if answers you wanted, of conversations the lesson did not see, became likelier,
    and everything else did not become worse.
    """
    from mnemon.chapters import sentence

    with app.assistant() as assistant:
        seconds = budget or 60.0 * assistant.lessons.settings.minutes
        with _stopped_by_ctrl_c() as stop, _bar() as report:
            outcome = assistant.lessons.hold(seconds, evaluations=evaluations, space=space, report=report, stop=stop)
    if as_json:
        output.print_json(_outcome_dict(outcome))
    else:
        output.say(sentence(outcome))


@learn.command()
@output.json_option
@pass_app
def status(app: App, as_json: bool) -> None:
    """What there is to learn from, what is in use, and why a lesson does or does not begin by itself now."""
    from datetime import timedelta

    with app.assistant() as assistant:
        standing = assistant.lessons.standing(timedelta.max)
        in_use = assistant.lessons.in_use()
        settings = assistant.lessons.settings
    if as_json:
        output.print_json(
            {
                "examples": standing.examples,
                "new": standing.new,
                "version": in_use.version,
                "problem": in_use.problem,
                "may_begin": standing.verdict.may,
                "against": list(standing.verdict.against),
                "unknown": list(standing.verdict.unknown),
            }
        )
        return
    output.say(standing.recorded)
    if in_use.problem:
        output.say(f"The model answers as it came, and not with {in_use.name.lower()}: {in_use.problem}")
    elif in_use.version and not settings.use:
        output.say(f"The model answers as it came, and not with {in_use.name.lower()}: learning.use is off.")
    else:
        output.say(f"{in_use.name} answers. {in_use.gain}")
    if standing.verdict.may:
        output.say(
            f"With the app open and unused for {settings.idle_minutes} min, a lesson would begin by itself now."
        )
    else:
        output.say(f"No lesson would begin by itself now: {'; '.join(standing.verdict.against)}.")
    if standing.verdict.unknown:
        output.say(f"This machine does not tell {' or '.join(standing.verdict.unknown)}.")


@learn.command()
@output.json_option
@pass_app
def history(app: App, as_json: bool) -> None:
    """Each version: what it learned from, what it gained, and how the loss went."""
    with app.assistant() as assistant:
        chapters = assistant.lessons.chapters()
    if as_json:
        output.print_json([_chapter_dict(chapter) for chapter in chapters if chapter.version])
        return
    if len(chapters) < 2:
        output.note(
            "Nothing was learned yet: `mnemon learn run` holds a lesson, `mnemon learn status` says from what."
        )
        return
    for chapter in chapters:
        when = f"  {output.day(chapter.at)}" if chapter.at else ""
        output.say(f"{chapter.name}{when}{'  in use' if chapter.in_use else ''}")
        for line in (chapter.gain, *chapter.about, chapter.sparkline):
            if line:
                output.say(f"    {line}")


@learn.command()
@click.argument("version", type=click.IntRange(min=0))
@output.yes_option
@output.json_option
@pass_app
def rollback(app: App, version: int, yes: bool, as_json: bool) -> None:
    """Go back to VERSION, 0 being the model as it came. The versions after it are let go."""
    with app.assistant() as assistant:
        chapters = {chapter.version: chapter for chapter in assistant.lessons.chapters()}
        if version in chapters and not chapters[version].in_use:
            output.confirm(f"Go back to {chapters[version].name}?", yes=yes)
        assistant.lessons.rollback(version)
        now = assistant.lessons.in_use()
    if as_json:
        output.print_json({"version": now.version})
    else:
        output.say(f"{now.name} answers from now on." if not now.problem else f"{now.name} is in use: {now.problem}")


@learn.command()
@click.argument("text", required=False)
@output.json_option
@pass_app
def compare(app: App, text: str | None, as_json: bool) -> None:
    """Answer TEXT twice: with what was learned, and as the model came. Nothing of it is kept."""
    words = given(text)
    with app.assistant() as assistant:
        compared = assistant.lessons.compare(
            lambda: assistant.chat(temporary=True).send(words, "local").finish().text
        )
    if as_json:
        output.print_json({"with": compared.learned, "without": compared.base, "version": compared.version})
        return
    output.say(f"as the model came\n    {_indented(compared.base)}")
    output.say(f"with version {compared.version}\n    {_indented(compared.learned)}")


@learn.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--everything", is_flag=True, help="All examples, and everything that was learned.")
@output.yes_option
@output.json_option
@pass_app
def forget(app: App, ids: tuple[str, ...], everything: bool, yes: bool, as_json: bool) -> None:
    """Forget examples, with the steps of every lesson that used them. `mnemon learn examples` shows the IDs.

    What is left is judged again; it stays in use only if it still helps.
    """
    if everything == bool(ids):
        raise InputError("Say what to forget.", hint="Name examples, or add --everything.")
    with app.assistant() as assistant:
        names = [example.id for example in assistant.lessons.examples.all()] if everything else list(ids)
        output.confirm(
            f"Forget {len(names)} example{'s'[: len(names) != 1]} and what was learned from them?", yes=yes
        )
        gone = assistant.lessons.forget(names)
    if as_json:
        output.print_json({"forgotten": gone})
    else:
        output.say(f"Forgotten: {gone} example{'s'[: gone != 1]}.")


@learn.command()
@click.argument("version", type=click.IntRange(min=1))
@click.argument("path", type=click.Path(path_type=Path))
@output.json_option
@pass_app
def export(app: App, version: int, path: Path, as_json: bool) -> None:
    """Write VERSION to PATH as an adapter in GGUF format, for other programs that run the same model.

    A control vector (`llama-cli --control-vector`) or a LoRA (`--lora`), as personal as what it was learned from.
    """
    with app.assistant() as assistant:
        content = assistant.lessons.export(version)
    new_file.write(path, content)
    if as_json:
        output.print_json({"version": version, "path": str(path.absolute()), "bytes": len(content)})
    else:
        output.say(f"Version {version} is written to {path} ({len(content):,} bytes).")


@learn.command("examples")
@output.json_option
@pass_app
def list_examples(app: App, as_json: bool) -> None:
    """What there is to learn from: what you did, and which answer you wanted."""
    with app.assistant() as assistant:
        found = assistant.lessons.examples.all()
    if as_json:
        output.print_json([_example_dict(example) for example in found])
    elif found:
        output.print_rows(
            (example.id, example.kind, output.day(example.at), one_line(example.chosen or example.rejected or "", 80))
            for example in found
        )
    else:
        output.note("Nothing yet. In the app: Alt+G and Alt+B for good and bad answers, Alt+W to write one yourself.")


for _command in (praise, blame, edit):
    learn.add_command(_command)


# -- a lesson at work ----------------------------------------------------------------------------------------------


@contextmanager
def _stopped_by_ctrl_c() -> Iterator[threading.Event]:
    """The first Ctrl-C ends the lesson after its step, the second ends the program at once."""
    stop = threading.Event()

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    """A progress bar on standard error; silent where nobody can see it."""
    if not sys.stderr.isatty():
        yield lambda _progress: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Learning", total=1.0)

        def report(progress: Any) -> None:
            loss = f", loss {progress.loss:.3f}" if progress.loss == progress.loss else ""
            bar.update(task, completed=progress.share, description=f"{progress.phase}{loss}")

        yield report


def _outcome_dict(outcome: Outcome) -> dict[str, Any]:
    """As printed by ``--json``; the keys are a contract."""
    return {
        "accepted": outcome.accepted,
        "before": round(outcome.before, 4),
        "after": round(outcome.after, 4),
        "steps": outcome.steps,
        "seconds": round(outcome.seconds, 1),
        "space": outcome.space,
        "evaluations": outcome.evaluations,
        "version": outcome.version,
        "reason": outcome.reason,
    }


def _chapter_dict(chapter: Chapter) -> dict[str, Any]:
    return {
        "version": chapter.version,
        "at": output.iso(chapter.at),
        "in_use": chapter.in_use,
        "learned_from": chapter.kinds,
        "before": chapter.before,
        "after": chapter.after,
        "about": list(chapter.about),
        "curve": list(chapter.curve),
    }


def _example_dict(example: Example) -> dict[str, Any]:
    return {
        "id": example.id,
        "kind": example.kind,
        "question": example.prompt[-1].content,
        "chosen": example.chosen,
        "rejected": example.rejected,
        "conversation": example.conversation,
        "rests_on": list(example.memories),
        "at": output.iso(example.at),
    }


def _indented(text: str) -> str:
    return text.strip().replace("\n", "\n    ")
