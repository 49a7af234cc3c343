"""``mnemon models``: which local model talks, and how to get a better one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from mnemon.commands import output
from mnemon.commands.app import App, pass_app
from mnemon.errors import InputError, MnemonError

if TYPE_CHECKING:
    from mnemon.runtime.catalog import ModelSpec


@click.group()
def models() -> None:
    """List, pull and choose local models."""


@models.command("list")
@output.json_option
@pass_app
def list_models(app: App, as_json: bool) -> None:
    """The models here, and those that can be pulled; * marks the one in use."""
    specs = _all(app)
    used = _in_use(app)
    if as_json:
        output.print_json([_as_dict(spec, used) for spec in specs])
        return
    rows = [("", "NAME", "SIZE", "MEMORY", "LICENCE", "")]
    for spec in specs:
        mark = "*" if spec.name == used else " "
        state = "" if spec.path else "(not pulled) "
        rows.append(
            (mark, spec.name, _size(spec.size_bytes), _size(spec.ram_bytes), spec.licence, state + spec.summary)
        )
    output.print_rows(rows)


@models.command()
@click.argument("name")
@output.json_option
@pass_app
def pull(app: App, name: str, as_json: bool) -> None:
    """Fetch the model NAME: a name from the list, or hf:owner/name/file.gguf.

    An interrupted pull goes on where it stopped. Size and SHA-256 are compared with what the hub announces.
    """
    from mnemon.runtime import catalog, download

    spec = catalog.find(name, app.home)
    there = spec.path is not None
    if not there:
        output.note(f"{spec.title}: licence {spec.licence}, from {spec.repository}.")
    try:
        with _progress_bar(spec) as progress:
            download.pull(spec, app.home, progress=progress)
    except KeyboardInterrupt:
        output.note("Stopped. What has arrived is kept: pull again to go on.")
        raise
    pulled = catalog.resolve(name, app.home)
    if as_json:
        output.print_json(_as_dict(pulled, _in_use(app)))
        return
    click.echo(f"{pulled.title} is {'already here' if there else 'here'}: {pulled.path}")
    if pulled.name != _in_use(app):
        output.note(f"Use it with: mnemon models use {name}")


@models.command()
@click.argument("name")
@output.json_option
@pass_app
def use(app: App, name: str, as_json: bool) -> None:
    """Let the model NAME talk from now on: a name from the list, or a GGUF file."""
    from mnemon import settings
    from mnemon.runtime import catalog

    spec = catalog.resolve(name, app.home)
    settings.save_value(app.home, "model", "name", spec.name)
    if as_json:
        output.print_json(_as_dict(spec, spec.name))
        return
    click.echo(f"{spec.title} talks from now on.")
    if settings.load(app.home).model.name != spec.name:
        output.note("MNEMON_MODEL_NAME is set and goes before this choice.")


@models.command()
@click.argument("name", required=False)
@output.json_option
@pass_app
def show(app: App, name: str | None, as_json: bool) -> None:
    """Everything about the model NAME, or about the one in use."""
    from mnemon.runtime import catalog

    spec = catalog.find(name or app.settings().model.name, app.home)
    shown = _as_dict(spec, _in_use(app))
    manifest = catalog.Manifest.read(spec.path) if spec.path else None
    shown["sha256"] = manifest.sha256 if manifest else None
    shown["history"] = history = catalog.history() if spec.built_in else []
    if as_json:
        output.print_json(shown)
        return
    where = {"system": "at the beginning, with the instructions", "message": "just before your message"}
    rows = [
        ("name", spec.name),
        ("title", spec.title),
        ("about", spec.summary),
        ("in use", "yes" if shown["in_use"] else "no"),
        ("file", str(spec.path) if spec.path else f"not here; get it with: mnemon models pull {spec.name}"),
        ("from", f"{spec.repository}, {spec.revision}" if spec.repository else "this machine"),
        ("size", _size(spec.size_bytes)),
        ("memory", f"about {_size(spec.ram_bytes)}" if spec.ram_bytes else "unknown"),
        ("licence", spec.licence),
        ("window", f"{spec.context:,} tokens"),
        ("memories", f"up to {spec.memory_limit}, {where[spec.memory_placement]}"),
        ("temperature", f"{spec.sampling.temperature:g}"),
    ]
    if manifest:
        rows.append(("sha256", f"{manifest.sha256} ({'as announced' if manifest.checked == 'sha256' else 'own'})"))
    rows += [(f"version {past['version']}", _past(past)) for past in history]
    output.print_rows(rows)


@models.command()
@click.argument("name")
@output.yes_option
@output.json_option
@pass_app
def remove(app: App, name: str, yes: bool, as_json: bool) -> None:
    """Delete the file of the model NAME, or what an interrupted pull of it left behind."""
    from mnemon.runtime import catalog

    spec = catalog.find(name, app.home)
    if spec.built_in or not spec.repository:
        raise InputError(f"{spec.title} was not pulled by Mnemon.", hint="Only pulled models can be removed.")
    files = catalog.files_of(spec, app.home)
    size = sum(file.stat().st_size for file in files)
    if not files:
        raise InputError(f"There is nothing of {spec.title} here.", hint="See: mnemon models list.")
    in_use = spec.name == _in_use(app)
    remark = " It is the one in use: the built-in one will talk instead." if in_use else ""
    output.confirm(f"Delete {spec.title} ({_size(size)})?{remark}", yes=yes)
    if in_use:
        from mnemon import settings

        settings.save_value(app.home, "model", "name", catalog.BUILT_IN)
    for file in files:
        file.unlink()
    if as_json:
        output.print_json({"name": spec.name, "freed_bytes": size})
    else:
        click.echo(f"{spec.title} is gone; {_size(size)} freed.")


def _all(app: App) -> list[ModelSpec]:
    from mnemon.runtime import catalog

    here = {spec.name: spec for spec in catalog.installed(app.home)}
    known = [here.pop(spec.name, spec) for spec in catalog.catalog()]
    listed = [*known, *here.values()]
    used = _in_use(app)
    if not any(spec.name == used for spec in listed):
        with suppress(MnemonError):  # a file of the owner's own; when it is gone, `models show` says so
            listed.append(catalog.find(used, app.home))
    return listed


def _in_use(app: App) -> str:
    return app.settings().model.name


def _as_dict(spec: ModelSpec, used: str) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(spec), "path": str(spec.path) if spec.path else None, "in_use": spec.name == used}


def _past(model: dict[str, Any]) -> str:
    """One built-in model of the history in a line: when, how large, and what it scored where it matters most."""
    figures = model["figures"]
    shown = ("recall", "unknown", "update", "extraction_f1", "no_invention", "broken")
    scored = ", ".join(f"{name.replace('_', ' ')} {figures[name]:.2f}" for name in shown if name in figures)
    return f"{model['date']}, {model['parameters'] / 1e6:.1f}M weights, {_size(model['file_bytes'])}: {scored}"


def _size(count: int) -> str:
    if not count:
        return "?"
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


@contextmanager
def _progress_bar(spec: ModelSpec) -> Iterator[Callable[[int, int], None]]:
    """A bar with speed and time left on standard error; nothing where there is no terminal to draw it on."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(spec.title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
