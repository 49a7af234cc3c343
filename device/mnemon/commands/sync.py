"""``mnemon sync``: what waits for the cloud, and the background process that takes it there."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from mnemon.commands import output
from mnemon.commands.app import App, pass_app
from mnemon.errors import CloudError, NotFoundError
from mnemon.terminal.text import one_line

if TYPE_CHECKING:
    from mnemon.assistant import Assistant
    from mnemon.memory.memory import Memory
    from mnemon.sync.outbox import Entry


@click.group()
def sync() -> None:
    """Questions that wait for the cloud: send them now, in the background, or look at them."""


@sync.command()
@output.json_option
@click.pass_context
def once(ctx: click.Context, as_json: bool) -> None:
    """Send what waits, now, and show the answers that came, also those a daemon brought."""
    from mnemon.sync.daemon import deliver

    app: App = ctx.obj
    with app.assistant() as assistant:
        done = deliver(assistant.memory, app.settings(), app.home, hurry=True)
        if not as_json:
            _tell_news(assistant)
    if done is None:
        raise CloudError("Another Mnemon is sending just now.", hint="`mnemon sync status` shows what waits.")
    if as_json:
        output.print_json(
            {
                "answered": done.answered,
                "given_up": done.given_up,
                "waiting": done.waiting,
                "problem": done.problem,
            }
        )
    else:
        output.say(f"{done.answered} answered, {done.waiting} still waiting.")
        if done.problem:
            output.note(done.problem)
    if done.problem:
        ctx.exit(CloudError.exit_code)


@sync.command()
@pass_app
def daemon(app: App) -> None:
    """Send what waits as soon as there is a line, until it is told to end (SIGTERM, Ctrl-C). One at a time."""
    from mnemon.memory.memory import Memory
    from mnemon.sync.daemon import Daemon

    @contextlib.contextmanager
    def opened() -> Iterator[Memory]:
        memory = Memory.open(app.home, app.settings().memory, passphrase=app.passphrase)
        try:
            yield memory
        finally:
            memory.close()

    app.home.create()
    running = Daemon(app.home, opened, app.settings)

    def stop(_signal: int, _frame: Any) -> None:
        # Not here: this thread may hold the very lock that stopping needs.
        threading.Thread(target=running.stop, daemon=True).start()

    output.note("Sending what waits as soon as there is a line. Ctrl-C ends it.")
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        if not running.run():
            raise CloudError("A daemon is running already.", hint="`mnemon sync status` shows what it does.")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@sync.command()
@output.json_option
@pass_app
def status(app: App, as_json: bool) -> None:
    """What waits, what was answered lately, and whether a daemon runs."""
    from mnemon.memory.locks import sole
    from mnemon.sync.daemon import read_report

    with app.assistant() as assistant:
        entries = assistant.cloud.outbox.entries()
        asked = {
            id: message.text
            for id, message in assistant.memory.messages.many([one.question_id for one in entries]).items()
        }
    with sole(app.home.sync_lock) as alone:
        running = not alone
    report = read_report(app.home)
    last = output.iso(datetime.fromtimestamp(report.round_at, UTC)) if report.round_at else None
    if as_json:
        output.print_json(
            {
                "daemon": running,
                "last_round": last,
                "problem": report.problem,
                "damaged_models": list(report.damaged),
                "outbox": [_as_dict(one, asked.get(one.question_id, "")) for one in entries],
            }
        )
        return
    output.say("A daemon is running." if running else "No daemon is running; `mnemon sync install` sets one up.")
    if last:
        output.say(f"Last round: {last}{f'. {report.problem}' if report.problem else ''}")
    for name in report.damaged:
        output.say(f"The file of {name} is damaged: mnemon models remove {name}, then pull it again.")
    output.print_rows(_row(one, asked.get(one.question_id, "")) for one in entries)
    if not entries:
        output.say("Nothing waits.")


@sync.command()
@click.argument("number", type=int)
@output.json_option
@pass_app
def drop(app: App, number: int, as_json: bool) -> None:
    """Take question NUMBER out of the outbox (`mnemon sync status` shows the numbers); it is not sent."""
    with app.assistant() as assistant:
        outbox = assistant.cloud.outbox
        if outbox.get(number).state not in ("waiting", "sending"):
            raise NotFoundError(f"Question {number} does not wait any more.", hint="mnemon sync status")
        outbox.drop(number)
    if as_json:
        output.print_json({"dropped": number})
    else:
        output.say("Taken out.")


@sync.command()
@click.option("--for", "kind", type=click.Choice(["systemd", "launchd"]), help="Default: what this system has.")
@click.option("--print", "only_print", is_flag=True, help="Print the file and write nothing.")
@output.json_option
@pass_app
def install(app: App, kind: str | None, only_print: bool, as_json: bool) -> None:
    """Write what has the system start the daemon at login (systemd, launchd), and say how to start it."""
    from mnemon.sync.units import here, unit

    made = unit("launchd" if (kind or here()) == "launchd" else "systemd", app.home)
    if not only_print:
        made.write()
    if as_json:
        output.print_json(
            {
                "path": str(made.path),
                "written": not only_print,
                "text": made.text,
                "start": made.start,
                "stop": made.stop,
            }
        )
    elif only_print:
        click.echo(made.text, nl=False)
    else:
        output.say(f"Written: {made.path}")
        output.say(f"Start it, now and at every login:  {made.start}")
        output.say(f"End that:  {made.stop}")


def _tell_news(assistant: Assistant) -> None:
    """Show what was answered or given up and nobody has seen yet; then it has been seen."""
    outbox, messages = assistant.cloud.outbox, assistant.memory.messages
    news = outbox.news()
    said = messages.many([id for one in news for id in (one.question_id, one.answer_id) if id is not None])
    for one in news:
        if one.question_id in said:  # else it was forgotten at this very moment
            output.say(f"“{one_line(said[one.question_id].text)}”")
            answer = said.get(one.answer_id) if one.answer_id is not None else None
            output.say(f"{answer.text if answer is not None else f'Not answered: {one.problem}'}\n")
    outbox.seen(*(one.id for one in news))


def _row(entry: Entry, question: str) -> tuple[str, ...]:
    sent = f"sent {entry.attempts}×" if entry.attempts else "not sent"
    return str(entry.id), entry.state, sent, entry.problem, one_line(question, 60)


def _as_dict(entry: Entry, question: str) -> dict[str, Any]:
    return {
        "id": entry.id,
        "state": entry.state,
        "question": question,
        "message": f"m{entry.question_id}",
        "answer": None if entry.answer_id is None else f"m{entry.answer_id}",
        "outgoing": entry.parcel.text,
        "queued_at": output.iso(entry.queued_at),
        "next_at": output.iso(entry.next_at),
        "attempts": entry.attempts,
        "problem": entry.problem,
    }
