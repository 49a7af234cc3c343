"""``mnemon-cloud`` as an operator uses it: real processes, real keys, the built-in model."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from click.testing import CliRunner
from cloud_server import HANG_SECONDS, TestDevice, question, status_of

from mnemon_cloud import errors, settings
from mnemon_cloud.commands import cli
from mnemon_cloud.errors import SettingsError
from mnemon_protos.invites import read_invite

COMMAND = (sys.executable, "-c", "from mnemon_cloud.commands import cli; cli()")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MNEMON_CLOUD_HOME", str(tmp_path / "cloud"))
    return tmp_path / "cloud"


def run(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli, list(words))
    assert result.exit_code == code, result.output
    return result.output


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_init_serve_enrol_ask_and_an_orderly_end(home: Path) -> None:
    port = free_port()
    done = subprocess.run(
        [*COMMAND, "init", "--address", f"localhost:{port}"], capture_output=True, text=True, check=True
    )
    invite = read_invite(done.stdout)
    assert {p.stat().st_mode & 0o077 for p in home.glob("*.key")} == {0}
    with (home / "cloud.toml").open("a") as file:
        file.write('metrics = ""\n[engine]\nthreads = 1\nparallel = 2\nwindow = 512\n')
    with (home / "log").open("w") as log:
        process = subprocess.Popen([*COMMAND, "serve"], stderr=log, stdout=log)
    try:
        await listening(port, process)
        assert run("health") == run("health", "--service", "mnemon.v1.Devices") == "SERVING\n"
        with socket.create_connection(("127.0.0.1", port)) as stranger:  # gRPC has words of its own for that
            stranger.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            stranger.recv(100)
        device = TestDevice(invite, port)
        await device.enroll()
        call = device.ask(question("What is your name?", max_tokens=300, temperature=1.5))
        first = await call.read()
        assert first.started.model == "mnemon-builtin-q8_0"
        process.send_signal(signal.SIGTERM)  # in the middle of an answer: it is told to the end
        last = first
        while (response := await call.read()) is not grpc.aio.EOF:
            last = response
        assert last.WhichOneof("event") == "finished"
        assert (await status_of(device.ask())).code() == grpc.StatusCode.UNAVAILABLE
        await device.channel.close()
        assert process.wait(HANG_SECONDS) == 0
    finally:
        process.kill()
        process.wait()
    events = [json.loads(line)["event"] for line in (home / "log").read_text().splitlines()]
    assert events[0] == "serving"
    assert events[-1] == "stopped"
    assert "draining" in events


async def listening(port: int, process: Any) -> None:
    for _ in range(300):
        assert process.poll() is None, "the server ended"
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            await asyncio.sleep(0.05)
        else:
            return
    raise AssertionError("the server does not listen")


def test_a_server_that_is_not_there_is_not_healthy(home: Path) -> None:
    port = free_port()
    run("init", "--address", f"localhost:{port}")
    assert f"localhost:{port} does not answer" in run("health", code=1)


def test_a_second_server_on_the_port_is_told_so(home: Path) -> None:
    run("init")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = subprocess.run(
            [*COMMAND, "serve", "--listen", address], capture_output=True, text=True, timeout=HANG_SECONDS
        )
    assert done.returncode == errors.ListenError.exit_code
    assert f"{address} cannot be listened on" in done.stderr


def test_init_never_overwrites_an_identity(home: Path) -> None:
    run("init")
    key = (home / "identity.key").read_bytes()
    assert "has an identity already" in run("init", code=2)
    certificate = (home / "server.pem").read_bytes()
    run("init", "--renew")
    assert (home / "identity.key").read_bytes() == key
    assert (home / "server.pem").read_bytes() != certificate


@pytest.mark.parametrize("address", ["localhost", "localhost:", ":1", "a:99999", "a:b"])
def test_an_address_that_is_none_is_refused_before_anything_is_made(home: Path, address: str) -> None:
    assert "is not host:port" in run("init", "--address", address, code=2)
    assert not home.exists()


def test_invites_and_devices_are_listed_and_revoked(home: Path) -> None:
    run("init")
    second = read_invite(run("invites", "create", "--hours", "1"))
    assert abs(second.expires_at_ms / 1000 - time.time() - 3600) < 60
    assert (second.insecure, bool(second.authority)) == (False, True)
    rows = json.loads(run("invites", "list", "--json"))
    assert [row["state"] for row in rows] == ["open", "open"]
    run("invites", "revoke", rows[0]["id"])
    assert "no open invite" in run("invites", "revoke", rows[0]["id"], code=4)
    assert {row["state"] for row in json.loads(run("invites", "list", "--json"))} == {"open", "revoked"}
    assert json.loads(run("devices", "list", "--json")) == []
    plain = read_invite(run("invites", "create", "--insecure-without-tls"))
    assert (plain.insecure, plain.authority) == (True, b"")
    assert "no active device" in run("devices", "revoke", "00" * 16, code=4)
    assert "is not an id" in run("devices", "revoke", "xyz", code=2)


@pytest.mark.parametrize(
    "what", ["nothing", "no home", "open key", "foreign key", "bad settings", "no model", "state"]
)
def test_doctor_finds_what_is_wrong(home: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {
        "nothing": None, "no home": "folder", "open key": "secrets", "foreign key": "certificate",
        "bad settings": "settings", "no model": "model", "state": "state",
    }[what]  # fmt: skip
    if what != "no home":
        run("init")
    if what == "open key":
        (home / "identity.key").chmod(0o644)
    elif what == "foreign key":
        (home / "server.key").write_bytes((home / "authority.key").read_bytes())
    elif what == "bad settings":
        (home / "cloud.toml").write_text("[server]\nlisen = 1\n")
    elif what == "no model":
        monkeypatch.setenv("MNEMON_CLOUD_ENGINE_MODEL", str(home / "none.gguf"))
    elif what == "state":
        (home / "cloud.db").write_bytes(os.urandom(5000))
    findings = json.loads(run("doctor", "--json", code=0 if expected is None else 1))
    bad = [f["check"] for f in findings if not f["ok"]]
    assert bad == [] if expected is None else expected in bad


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[sever]\n", "Did you mean server"),
        ("[server]\nlisten = 5\n", "must be a str"),
        ("[limits]\nquque = 5\n", "Did you mean queue"),
        ("[engine]\nparallel = 0\n", "too small"),
        ("[engine]\nparallel = true\n", "must be a int"),
        ("[limits]\nslow_reader_seconds = 0\n", "too small"),
        ("[engine]\ntemperature = 3\n", "too large"),
        ("[engine]\ntemperature = nan\n", "must be a number"),
        ("[server]\ndrain_seconds = inf\n", "must be a number"),
        ("server = 1\n", "must be a section"),
        ("[server\n", "cannot be read"),
    ],
)
def test_a_setting_that_means_nothing_stops_the_server(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "cloud.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as raised:
        settings.load(file)
    assert told in f"{raised.value} {raised.value.hint}"


def test_settings_come_from_file_then_environment_then_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cloud.toml"
    file.write_text("[limits]\nqueue = 1\nanswer_tokens = 1\ntokens_per_day = 1\n")
    monkeypatch.setenv("MNEMON_CLOUD_LIMITS_ANSWER_TOKENS", "2")
    monkeypatch.setenv("MNEMON_CLOUD_LIMITS_TOKENS_PER_DAY", "2")
    monkeypatch.setenv("MNEMON_CLOUD_SERVER_REFLECTION", "true")
    found = settings.load(file, overrides={"limits": {"tokens_per_day": 3}})
    assert (found.limits.queue, found.limits.answer_tokens, found.limits.tokens_per_day) == (1, 2, 3)
    assert found.server.reflection is True
    monkeypatch.setenv("MNEMON_CLOUD_LIMITS_QUEUE", "many")
    with pytest.raises(SettingsError, match="must be a int"):
        settings.load(file)


def test_the_page_names_every_setting_command_and_exit_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "cloud.md").read_text("utf-8")
    for section in ("server", "limits", "engine", "storage"):
        for key, value in vars_of(getattr(settings.Settings(), section)).items():
            shown = str(value).lower() if isinstance(value, bool) else str(value) or '""'
            assert re.search(rf"`{section}\.{key}` \| `{re.escape(shown)}`", page), (section, key, shown)
    kinds = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.CloudError)]
    for kind in kinds:
        assert re.search(rf"\| {kind.exit_code} \|", page), kind
    for name, command in cli.commands.items():
        names = [f"{name} {sub}" for sub in command.commands] if hasattr(command, "commands") else [name]
        for each in names:
            assert f"mnemon-cloud {each}" in page, each


def vars_of(section: Any) -> dict[str, Any]:
    return {name: getattr(section, name) for name in section.__dataclass_fields__}
