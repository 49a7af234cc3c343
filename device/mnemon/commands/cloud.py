"""``mnemon cloud``: the bigger model this device may ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mnemon.commands import output
from mnemon.commands.app import App, pass_app
from mnemon.commands.words import given
from mnemon.errors import CloudError

if TYPE_CHECKING:
    from mnemon.sync.client import Standing


@click.group()
def cloud() -> None:
    """A bigger model for hard questions: enrol, ask, look, leave."""


@cloud.command()
@click.argument("invite", required=False)
@click.option("--server", default="", metavar="HOST:PORT", help="Reach it here instead of where the invite says.")
@output.json_option
@pass_app
def enroll(app: App, invite: str | None, server: str, as_json: bool) -> None:
    """Enrol this device with an INVITE of whoever runs the server.

    INVITE can be - or left out: it then comes from standard input, and is in no shell's history.
    """
    from mnemon.sync.account import Accounts
    from mnemon.sync.account import enroll as trade

    text = given(invite)
    with app.assistant() as assistant:
        account = trade(Accounts(assistant.memory.store), text, server=server)
    if as_json:
        output.print_json({"server": account.address, "device": account.device})
        return
    output.say(f"Enrolled at {account.address} as device {account.device[:8]}.")
    if account.insecure:
        output.note("There is no TLS on this line: that is for tests on one machine.")
    mode = app.settings().privacy.mode
    output.say(
        "Nothing leaves: privacy.mode is never." if mode == "never" else "You are asked before anything leaves."
    )


@cloud.command()
@click.argument("text", required=False)
@output.json_option
@pass_app
def ask(app: App, text: str | None, as_json: bool) -> None:
    """Ask the cloud, however easy the question is; it learns that you wanted that.

    What would leave is shown, and you are asked. TEXT can be - or left out: it then comes from standard input.
    """
    from mnemon.commands.talk import answer

    words = given(text)
    with app.assistant() as assistant:
        said = answer(assistant.chat(), words, stream=not as_json, where="cloud")
        if as_json:
            output.print_json(said.as_dict())
        if said.status == "stopped":
            click.get_current_context().exit(output.INTERRUPTED)


@cloud.command()
@output.json_option
@pass_app
def status(app: App, as_json: bool) -> None:
    """Where this device is enrolled, whether the server answers, and what is left of today's allowance."""
    from mnemon.sync.account import Accounts, connect

    with app.assistant() as assistant:
        account = Accounts(assistant.memory.store).get()
        waiting = assistant.cloud.outbox.waiting()
    standing: Standing | None = None
    problem = ""
    client = connect(account)
    try:
        standing = client.standing()
    except CloudError as error:
        problem = error.one_line()
    finally:
        client.close()
    if as_json:
        output.print_json(
            {
                "server": account.address,
                "device": account.device,
                "enrolled_at": output.iso(account.enrolled_at),
                "reachable": standing is not None,
                "problem": problem,
                "quota": standing.quota if standing else None,
                "quota_left": standing.quota_left if standing else None,
                "waiting": waiting,
                "mode": app.settings().privacy.mode,
            }
        )
        return
    rows = [
        ("server", account.address),
        ("device", account.device),
        ("enrolled", str(output.iso(account.enrolled_at))),
    ]
    rows.append(("answers", "yes" if standing else problem))
    if standing is not None:
        left = (
            "no limit" if standing.quota < 0 else f"{standing.quota_left:,} of {standing.quota:,} tokens left today"
        )
        rows.append(("allowance", left))
    rows.append(("waiting", f"{waiting} in the outbox"))
    rows.append(("privacy", app.settings().privacy.mode))
    output.print_rows(rows)


@cloud.command()
@output.yes_option
@output.json_option
@pass_app
def leave(app: App, yes: bool, as_json: bool) -> None:
    """End this device's access at the server, and forget its key."""
    from mnemon.sync.account import Accounts, connect

    with app.assistant() as assistant:
        accounts = Accounts(assistant.memory.store)
        account = accounts.get()
        output.confirm(f"Leave {account.address}?", yes=yes)
        told = True
        client = connect(account)
        try:
            client.leave()
        except CloudError as error:
            told = False
            output.note(f"The server was not told: {error.one_line()}")
        finally:
            client.close()
        accounts.forget()
    if as_json:
        output.print_json({"left": account.address, "told": told})
    else:
        output.say(f"Left {account.address}.")
