"""``mnemon-cloud``: set up, run and look after a server."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from mnemon_cloud.errors import CloudError, NotFoundError, UsageError
from mnemon_cloud.home import Home

if TYPE_CHECKING:
    from mnemon_cloud.settings import EngineSettings, Settings
    from mnemon_cloud.storage import Storage

T = TypeVar("T")

_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class _Group(click.Group):
    """Ends every error as one line and an exit code."""

    def main(  # type: ignore[override]  # click's overloads tell apart modes; here there is one
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        extra.pop("standalone_mode", None)
        try:
            code = super().main(args, prog_name or "mnemon-cloud", standalone_mode=False, **extra)
        except CloudError as error:
            click.echo(f"Error: {error} {error.hint}".rstrip(), err=True)
            sys.exit(error.exit_code)
        except click.ClickException as error:
            error.show()
            sys.exit(2)
        except (click.Abort, KeyboardInterrupt):
            sys.exit(130)
        sys.exit(code if isinstance(code, int) else 0)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--home", "root", metavar="FOLDER", help="Where keys and state live (default: MNEMON_CLOUD_HOME).")
@click.version_option(package_name="mnemon", message="mnemon-cloud %(version)s")
@click.pass_context
def cli(ctx: click.Context, root: str | None) -> None:
    """Answer the hard questions of enrolled devices."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # it writes about broken handshakes between the log's JSON lines
    ctx.obj = Home.find(root)


@cli.command()
@click.option("--address", metavar="HOST:PORT", help="Under which devices reach the server [localhost:8443].")
@click.option("--listen", metavar="HOST:PORT", help="Where the server listens [127.0.0.1 and the address's port].")
@click.option("--renew", is_flag=True, help="Only make a new server certificate.")
@click.pass_obj
def init(home: Home, address: str | None, listen: str | None, renew: bool) -> None:
    """Make keys, a certificate authority and certificates, and print the first invite."""
    from mnemon_cloud import identity

    if renew:
        identity.load(home)
        chosen = address or _settings(home).server.address
        identity.renew(home, identity.host_of(chosen))
        click.echo(f"A new certificate for {identity.host_of(chosen)}; start the server again.", err=True)
        return
    address = address or "localhost:8443"
    host, port = identity.host_of(address), address.rpartition(":")[2]
    listen = listen or f"127.0.0.1:{port}"
    identity.host_of(listen)
    identity.create(home, host)
    if not home.settings.exists():
        # JSON strings are TOML strings.
        text = f"[server]\naddress = {json.dumps(address)}\nlisten = {json.dumps(listen)}\n"
        home.settings.write_text(text, "utf-8")
    click.echo(f"Keys and certificates for {host} are in {home.root}.", err=True)
    click.echo(
        "Start with mnemon-cloud serve. One device may enrol with this invite, once, within 72 hours:", err=True
    )
    click.echo(_run(home, lambda storage: _invite(home, storage, hours=72, insecure=False)))


@cli.command()
@click.option("--listen", metavar="HOST:PORT", help="Instead of server.listen.")
@click.option("--model", metavar="FILE", help="Instead of engine.model.")
@click.option("--workers", type=click.IntRange(1, 64), metavar="N", help="Instead of server.workers.")
@click.option(
    "--insecure-without-tls", is_flag=True, help="Everybody on the network reads along: for tests on one machine."
)
@click.pass_obj
def serve(home: Home, listen: str | None, model: str | None, workers: int | None, insecure_without_tls: bool) -> None:
    """Serve until SIGTERM; then let running answers end."""
    overrides: dict[str, dict[str, Any]] = {}
    if listen:
        overrides["server"] = {"listen": listen}
    if model:
        overrides["engine"] = {"model": model}
    if workers:
        overrides.setdefault("server", {})["workers"] = workers
    settings = _settings(home, overrides)
    if settings.server.workers == 1:
        from mnemon_cloud.serving import serve as serve_here

        asyncio.run(serve_here(home, settings, insecure_without_tls=insecure_without_tls))
        return
    from mnemon_cloud.workers import supervise

    code = asyncio.run(supervise(home, settings, insecure_without_tls=insecure_without_tls))
    raise click.exceptions.Exit(code)


async def _reachable(settings: EngineSettings) -> str | None:
    """None where the engine would answer, else what is wrong."""
    from mnemon_cloud.serving import start_engine

    engine = await start_engine(settings)
    try:
        return (
            None if engine.healthy() else f"{settings.url} does not list {settings.model}. Set engine.url and model."
        )
    finally:
        await engine.close()


@cli.group()
def invites() -> None:
    """Let devices in."""


@invites.command("create")
@click.option(
    "--hours", type=click.FloatRange(0.01, 8760), default=72, show_default=True, help="How long it is good."
)
@click.option("--insecure-without-tls", is_flag=True, help="For a server that runs without TLS.")
@click.pass_obj
def create_invite(home: Home, hours: float, insecure_without_tls: bool) -> None:
    """Print an invite for one device."""
    click.echo(_run(home, lambda storage: _invite(home, storage, hours=hours, insecure=insecure_without_tls)))


@invites.command("list")
@_json_option
@click.pass_obj
def list_invites(home: Home, as_json: bool) -> None:
    """Invites, newest first."""
    now = _now_ms()
    rows = []
    for found in _run(home, lambda storage: storage.invites()):
        state = "open"
        if found.used_by is not None:
            state = "used"
        elif found.revoked:
            state = "revoked"
        elif found.expires_at_ms <= now:
            state = "expired"
        rows.append(
            {
                "id": found.id.hex(),
                "state": state,
                "created": _day(found.created_at_ms),
                "expires": _day(found.expires_at_ms),
                "device": found.used_by.hex() if found.used_by else None,
            }
        )
    _show(rows, as_json, "No invites.")


@invites.command("revoke")
@click.argument("id")
@click.pass_obj
def revoke_invite(home: Home, id: str) -> None:
    """Make an unused invite worthless."""
    raw = _id(id)
    if not _run(home, lambda storage: storage.revoke_invite(raw, now_ms=_now_ms())):
        raise NotFoundError(f"There is no open invite {id}.", hint="Run mnemon-cloud invites list.")


@cli.group()
def devices() -> None:
    """Who may ask."""


@devices.command("list")
@_json_option
@click.pass_obj
def list_devices(home: Home, as_json: bool) -> None:
    """Devices, newest first, with the tokens they used today (UTC)."""

    async def collect(storage: Storage) -> list[dict[str, Any]]:
        return [
            {
                "id": device.id.hex(),
                "state": "active" if device.revoked_at_ms is None else "revoked",
                "enrolled": _day(device.enrolled_at_ms),
                "tokens_today": await storage.used(device.id, _now_ms() // 86_400_000),
            }
            for device in await storage.devices()
        ]

    _show(_run(home, collect), as_json, "No devices.")


@devices.command("revoke")
@click.argument("id")
@click.pass_obj
def revoke_device(home: Home, id: str) -> None:
    """End a device's access, for good; an answer that is running ends by itself."""
    raw = _id(id)
    if not _run(home, lambda storage: storage.revoke_device(raw, by="operator", now_ms=_now_ms())):
        raise NotFoundError(f"There is no active device {id}.", hint="Run mnemon-cloud devices list.")


@cli.command()
@click.option("--service", default="", help="Instead of the whole: mnemon.v1.Answers or mnemon.v1.Devices.")
@click.option("--insecure-without-tls", is_flag=True, help="For a server that runs without TLS.")
@click.pass_obj
def health(home: Home, service: str, insecure_without_tls: bool) -> None:
    """Ask the server that runs here whether it would answer; exit code 1 when not. For probes of containers."""
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    from mnemon_cloud import identity

    address = f"localhost:{_settings(home).server.listen.rpartition(':')[2]}"
    if insecure_without_tls:
        channel = grpc.insecure_channel(address)
    else:
        trusted = identity.load(home).tls_authority
        channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(trusted))
    with channel:
        try:
            request = health_pb2.HealthCheckRequest(service=service)
            status = health_pb2_grpc.HealthStub(channel).Check(request, timeout=5).status
        except grpc.RpcError as error:
            click.echo(f"{address} does not answer: {error.code().name}.", err=True)
            raise click.exceptions.Exit(1) from None
    click.echo(health_pb2.HealthCheckResponse.ServingStatus.Name(status))
    raise click.exceptions.Exit(0 if status == health_pb2.HealthCheckResponse.SERVING else 1)


@cli.command()
@_json_option
@click.pass_obj
def doctor(home: Home, as_json: bool) -> None:
    """Check keys, certificates, state and model; exit code 1 when something needs mending."""
    findings = [{"check": name, "ok": problem is None, "problem": problem or ""} for name, problem in _examined(home)]
    if as_json:
        click.echo(json.dumps(findings))
    else:
        for found in findings:
            click.echo(f"{'ok ' if found['ok'] else 'BAD'} {found['check']}  {found['problem']}".rstrip())
    if not all(found["ok"] for found in findings):
        raise click.exceptions.Exit(1)


def _examined(home: Home) -> list[tuple[str, str | None]]:
    """What was looked at, and what is wrong with it (None when nothing)."""
    from mnemon_cloud import identity
    from mnemon_cloud.answers.engines.llama_cpp import model_path

    def trial(work: Callable[[], str | None]) -> str | None:
        try:
            return work()
        except CloudError as error:
            return f"{error} {error.hint}".strip()

    def folder() -> str | None:
        if not home.root.is_dir():
            return f"There is no {home.root}. Run mnemon-cloud init."
        open_to = home.root.stat().st_mode & 0o077
        return f"{home.root} is open to others. Run chmod 700 on it." if open_to else None

    def secrets() -> str | None:
        for path in (home.identity_key, home.authority_key, home.tls_key):
            if path.exists() and path.stat().st_mode & 0o077:
                return f"{path} can be read by others. Run chmod 600 on it."
        return None

    def certificate() -> str | None:
        ends = identity.load(home).certificate.not_valid_after_utc
        if ends < datetime.now(UTC) + timedelta(days=30):
            return f"The certificate ends on {ends:%Y-%m-%d}. Run mnemon-cloud init --renew."
        return None

    def state() -> str | None:
        if not _settings(home).storage.url and not home.database.exists():
            return f"There is no {home.database}. Run mnemon-cloud init."
        _run(home, lambda storage: storage.check())
        return None

    def model() -> str | None:
        engine = _settings(home).engine
        if engine.kind == "openai":
            return asyncio.run(_reachable(engine))
        path = model_path(engine)
        try:
            with path.open("rb") as file:
                return None if file.read(4) == b"GGUF" else f"{path} is no GGUF file. Set engine.model."
        except OSError as error:
            return f"{path}: {error.strerror}. Set engine.model."

    def settings() -> str | None:
        _settings(home)
        return None

    checks = {
        "folder": folder,
        "settings": settings,
        "secrets": secrets,
        "certificate": certificate,
        "state": state,
        "model": model,
    }
    return [(name, trial(work)) for name, work in checks.items()]


async def _invite(home: Home, storage: Storage, *, hours: float, insecure: bool) -> str:
    from mnemon_cloud import identity
    from mnemon_cloud.devices.enrollment import create_invite as create

    keys = identity.load(home)
    return await create(
        storage,
        address=_settings(home).server.address,
        authority=b"" if insecure else keys.authority,
        server_key=keys.public_key,
        now_ms=_now_ms(),
        hours=hours,
        insecure=insecure,
    )


def _settings(home: Home, overrides: dict[str, dict[str, Any]] | None = None) -> Settings:
    from mnemon_cloud import settings

    return settings.load(home.settings, overrides=overrides)


def _run(home: Home, work: Callable[[Storage], Awaitable[T]]) -> T:
    """Do something with the state, which may be in use by a running server."""
    from mnemon_cloud.storage import open_storage

    if not home.identity_key.exists():
        raise UsageError(f"There is no server in {home.root}.", hint="Run mnemon-cloud init first.")

    async def opened() -> T:
        storage = await open_storage(_settings(home).storage, home.database)
        try:
            return await work(storage)
        finally:
            await storage.close()

    return asyncio.run(opened())


def _show(rows: list[dict[str, Any]], as_json: bool, nothing: str) -> None:
    if as_json:
        click.echo(json.dumps(rows))
    elif not rows:
        click.echo(nothing)
    for row in [] if as_json else rows:
        click.echo("  ".join(str(value) for value in row.values() if value is not None))


def _id(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is not an id.", hint="Ids are 32 hex digits, as in the list.") from error


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
