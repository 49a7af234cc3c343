"""Pulling a model from a hub that behaves like the real one, and like the real one on a bad day."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mnemon.errors import ChecksumError, DiskFullError, DownloadError, HubUnreachableError, ReadOnlyError
from mnemon.paths import Home, home
from mnemon.runtime import catalog, download
from mnemon.runtime.catalog import Manifest, ModelSpec
from mnemon.runtime.hub import ATTEMPTS, LONGEST_WAIT_S
from mnemon.runtime.partial import Part

CONTENT = b"GGUF" + bytes(range(256)) * 4000
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Script:
    """What the servers do; a test changes what it is about."""

    content: bytes = CONTENT
    announced_sha: str = ""
    announced_size: int = 0
    cuts: list[int] = field(default_factory=list)
    """Close the connection after so many bytes of the body, once each."""
    statuses: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """Answers of the hub before it behaves, in order."""
    storage_statuses: list[int] = field(default_factory=list)
    ignore_range: bool = False
    renamed: bool = False
    not_lfs: bool = False
    delay_s: float = 0.0
    requests: list[tuple[str, str, str, dict[str, str]]] = field(default_factory=list)
    """(server, method, path, headers), as they came."""

    def headers_of(self, server: str, method: str = "GET") -> list[dict[str, str]]:
        return [headers for s, m, _, headers in self.requests if (s, m) == (server, method)]


class Server:
    """One HTTP server on the loopback, on its own port."""

    def __init__(self, name: str, script: Script, answer: Callable[[Any], None]) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                headers = {key.lower(): value for key, value in self.headers.items()}
                script.requests.append((name, self.command, self.path, headers))
                answer(self)

            do_HEAD = do_GET

            def log_message(self, *_: object) -> None:
                pass

            def reply(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
                self.send_response(status)
                for key, value in (headers or {}).items():
                    self.send_header(key, value)
                if "Content-Length" not in (headers or {}):
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass  # a client that hangs up is part of these tests

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass
class Hub:
    script: Script
    url: str
    storage: str


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    for name in ("HF_TOKEN", "HF_ENDPOINT", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    script = Script()

    def answer_storage(request: Any) -> None:
        if script.storage_statuses:
            request.reply(script.storage_statuses.pop(0))
            return
        content, etag = script.content, f'"{hashlib.md5(script.content).hexdigest()}"'
        begin, status = 0, 200
        asked = request.headers.get("Range")
        if asked and not script.ignore_range and request.headers.get("If-Range", etag) == etag:
            begin, status = int(asked.removeprefix("bytes=").removesuffix("-")), 206
            if begin >= len(content):
                request.reply(416, {"Content-Range": f"bytes */{len(content)}"})
                return
        body = content[begin:]
        headers = {"ETag": etag, "Content-Length": str(len(body))}
        if status == 206:
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        cut = script.cuts.pop(0) if script.cuts else len(body)
        if cut < len(body):
            request.close_connection = True
        if script.delay_s:
            request.reply(status, headers)
            for i in range(0, cut, 4096):
                request.wfile.write(body[i : min(i + 4096, cut)])
                time.sleep(script.delay_s)
        else:
            request.reply(status, headers, body[:cut])

    storage = Server("storage", script, answer_storage)

    def answer_hub(request: Any) -> None:
        if script.statuses:
            status, headers = script.statuses.pop(0)
            request.reply(status, headers)
        elif script.renamed and request.path.startswith("/owner/"):
            request.reply(307, {"Location": request.path.replace("/owner/", "/new-owner/", 1)})
        elif script.not_lfs:
            request.reply(200, {"ETag": '"not-a-sha"', "X-Repo-Commit": COMMIT}, script.content)
        else:
            sha = script.announced_sha or hashlib.sha256(script.content).hexdigest()
            announced = {
                "Location": f"{storage.url}/blobs/model.gguf?signature=1",
                "X-Repo-Commit": COMMIT,
                "X-Linked-Size": str(script.announced_size or len(script.content)),
                "X-Linked-ETag": f'"{sha}"',
                "ETag": '"of-the-redirect"',
            }
            request.reply(302, announced)

    front = Server("hub", script, answer_hub)
    yield Hub(script, front.url, storage.url)
    front.close()
    storage.close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waiting between tries, noted instead of done."""
    noted: list[float] = []
    monkeypatch.setattr("mnemon.runtime.hub.time.sleep", noted.append)
    return noted


@pytest.fixture
def here(own_home: Path) -> Home:
    return home(own_home)


def spec_of(here: Home) -> ModelSpec:
    return catalog.find("hf:owner/name/model.gguf", here)


def part_of(here: Home) -> Path:
    path = catalog.pulled_path(spec_of(here), here)
    return path.with_name(path.name + ".part")


def leave_part(here: Home, hub: Hub, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt a pull after ``size`` bytes, as Ctrl-C does."""

    def interrupt(done: int, _total: int) -> None:
        if done >= size:
            raise KeyboardInterrupt

    hub.script.cuts.append(size)
    with pytest.raises(KeyboardInterrupt):
        download.pull(spec_of(here), here, progress=interrupt, hub=hub.url)
    hub.script.requests.clear()
    assert part_of(here).stat().st_size == size


def test_what_arrives_is_whole_and_has_a_manifest(hub: Hub, here: Home) -> None:
    seen: list[tuple[int, int]] = []
    path = download.pull(spec_of(here), here, progress=lambda *p: seen.append(p), hub=hub.url)
    assert path.read_bytes() == CONTENT
    manifest = Manifest.read(path)
    assert manifest is not None
    assert manifest.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert (manifest.repository, manifest.revision, manifest.checked) == ("owner/name", COMMIT, "sha256")
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert sorted(p.name for p in path.parent.iterdir()) == ["model.gguf", "model.gguf.json"]
    assert catalog.resolve("hf:owner/name/model.gguf", here).path == path
    assert [s.path for s in catalog.installed(here)][1:] == [path]


def test_a_model_that_is_there_is_not_fetched_again(hub: Hub, here: Home) -> None:
    download.pull(spec_of(here), here, hub=hub.url)
    hub.script.requests.clear()
    download.pull(spec_of(here), here, hub=hub.url)
    assert hub.script.requests == []


def test_the_announced_commit_is_fetched_even_if_the_branch_moves_on(hub: Hub, here: Home) -> None:
    download.pull(spec_of(here), here, hub=hub.url)
    assert [path for server, _, path, _ in hub.script.requests if server == "hub"] == [
        "/owner/name/resolve/main/model.gguf",
        f"/owner/name/resolve/{COMMIT}/model.gguf",
    ]


def test_a_renamed_repository_is_followed(hub: Hub, here: Home) -> None:
    hub.script.renamed = True
    assert download.pull(spec_of(here), here, hub=hub.url).read_bytes() == CONTENT


def test_a_file_the_hub_sends_itself_is_checked_by_size(hub: Hub, here: Home) -> None:
    hub.script.not_lfs = True
    manifest = Manifest.read(download.pull(spec_of(here), here, hub=hub.url))
    assert manifest is not None
    assert (manifest.checked, manifest.sha256) == ("size", hashlib.sha256(CONTENT).hexdigest())


@pytest.mark.parametrize("cuts", [[100_000], [1, 500_000, 3], [len(CONTENT) - 1]])
def test_a_cut_transfer_goes_on_where_it_ended(hub: Hub, here: Home, waits: list[float], cuts: list[int]) -> None:
    hub.script.cuts = list(cuts)
    assert download.pull(spec_of(here), here, hub=hub.url).read_bytes() == CONTENT
    begins = [headers.get("range") for headers in hub.script.headers_of("storage")]
    assert begins[0] is None
    assert len(begins) == len(cuts) + 1
    assert len(waits) == len(cuts)
    # The front of the transfer is never asked for twice: what the socket delivered before the cut counts.
    assert [int(b.removeprefix("bytes=").removesuffix("-")) for b in begins[1:] if b] == sorted(
        sum(cuts[: i + 1]) for i in range(len(cuts))
    )


def test_a_later_pull_goes_on_with_what_an_earlier_one_left(
    hub: Hub, here: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_part(here, hub, 300_000, monkeypatch)
    seen: list[int] = []
    path = download.pull(spec_of(here), here, progress=lambda done, _: seen.append(done), hub=hub.url)
    assert path.read_bytes() == CONTENT
    assert seen[0] == 300_000
    (headers,) = hub.script.headers_of("storage")
    assert headers["range"] == "bytes=300000-"
    assert headers["if-range"] == f'"{hashlib.md5(CONTENT).hexdigest()}"'


def test_a_file_that_changed_in_between_is_not_glued_together(
    hub: Hub, here: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_part(here, hub, 300_000, monkeypatch)
    hub.script.content = b"GGUF" + bytes(900_000)
    assert download.pull(spec_of(here), here, hub=hub.url).read_bytes() == hub.script.content
    assert "range" not in hub.script.headers_of("storage")[0]


def test_a_file_that_changes_in_the_storage_only_begins_anew(
    hub: Hub, here: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_part(here, hub, 300_000, monkeypatch)
    note = part_of(here).with_name("model.gguf.part.json")
    note.write_text(json.dumps({**json.loads(note.read_text()), "storage_etag": '"another"'}))
    assert download.pull(spec_of(here), here, hub=hub.url).read_bytes() == CONTENT


def test_a_server_that_ignores_ranges_sends_it_all_again(
    hub: Hub, here: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_part(here, hub, 300_000, monkeypatch)
    hub.script.ignore_range = True
    assert download.pull(spec_of(here), here, hub=hub.url).read_bytes() == CONTENT


def test_a_part_without_its_note_is_not_trusted(hub: Hub, here: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_part(here, hub, 300_000, monkeypatch)
    part_of(here).with_name("model.gguf.part.json").write_text("{damaged")
    assert download.pull(spec_of(here), here, hub=hub.url).read_bytes() == CONTENT


def test_a_range_that_cannot_be_served_begins_anew(hub: Hub, here: Home, waits: list[float]) -> None:
    hub.script.announced_size = len(CONTENT) + 10
    with pytest.raises(HubUnreachableError, match="cannot be reached, or does not send"):
        download.pull(spec_of(here), here, hub=hub.url)
    assert len(waits) == ATTEMPTS - 1


def test_a_wrong_hash_leaves_nothing(hub: Hub, here: Home) -> None:
    hub.script.announced_sha = "ab" * 32
    with pytest.raises(ChecksumError, match=r"announced abab") as caught:
        download.pull(spec_of(here), here, hub=hub.url)
    assert "pull again" in caught.value.hint
    assert list(part_of(here).parent.iterdir()) == []
    assert catalog.installed(here) == (catalog.catalog()[0],)


def test_more_than_announced_leaves_nothing(hub: Hub, here: Home) -> None:
    hub.script.announced_size = 1000
    with pytest.raises(ChecksumError, match="More arrived"):
        download.pull(spec_of(here), here, hub=hub.url)
    assert list(part_of(here).parent.iterdir()) == []


def test_a_part_damaged_on_disk_is_found_and_removed(hub: Hub, here: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_part(here, hub, 300_000, monkeypatch)
    with part_of(here).open("r+b") as file:
        file.write(b"????")
    with pytest.raises(ChecksumError):
        download.pull(spec_of(here), here, hub=hub.url)
    assert download.pull(spec_of(here), here, hub=hub.url).read_bytes() == CONTENT


def test_a_file_that_only_lacks_its_manifest_is_checked_not_fetched(hub: Hub, here: Home) -> None:
    path = download.pull(spec_of(here), here, hub=hub.url)
    catalog.manifest_path(path).write_text("")  # the power went before it reached the disk
    hub.script.requests.clear()
    assert catalog.installed(here) == (catalog.catalog()[0],)
    assert download.pull(spec_of(here), here, hub=hub.url).read_bytes() == CONTENT
    assert hub.script.headers_of("storage") == []
    assert Manifest.read(path) is not None


@pytest.mark.parametrize(
    ("status", "headers", "message"),
    [
        (401, {"X-Error-Code": "GatedRepo"}, "needs permission"),
        (403, {"X-Error-Code": "GatedRepo"}, "needs permission"),
        (401, {"X-Error-Code": "RepoNotFound"}, "There is no owner/name/model.gguf"),
        (404, {"X-Error-Code": "EntryNotFound"}, "There is no owner/name/model.gguf"),
        (451, {}, "refuses"),
    ],
)
def test_a_refusal_is_told_at_once(
    hub: Hub, here: Home, waits: list[float], status: int, headers: dict[str, str], message: str
) -> None:
    hub.script.statuses = [(status, headers)]
    with pytest.raises(DownloadError, match=message) as caught:
        download.pull(spec_of(here), here, hub=hub.url)
    assert waits == []
    assert caught.value.hint
    assert "\n" not in caught.value.one_line()


def test_a_busy_hub_is_given_the_time_it_asks_for(hub: Hub, here: Home, waits: list[float]) -> None:
    hub.script.statuses = [
        (429, {"Retry-After": "7"}),
        (503, {"Retry-After": "3600"}),
        (500, {}),
        (500, {"Retry-After": "x"}),
    ]
    assert download.pull(spec_of(here), here, hub=hub.url).read_bytes() == CONTENT
    assert waits[0] == 7
    assert waits[1] == LONGEST_WAIT_S
    assert 1.5 <= waits[2] <= 2.5


def test_an_expired_link_is_asked_for_anew(hub: Hub, here: Home, waits: list[float]) -> None:
    hub.script.storage_statuses = [403, 404]
    assert download.pull(spec_of(here), here, hub=hub.url).read_bytes() == CONTENT
    assert len(waits) == 2


def test_a_hub_that_only_fails_is_given_up(hub: Hub, here: Home, waits: list[float]) -> None:
    hub.script.statuses = [(500, {})] * 50
    with pytest.raises(HubUnreachableError, match="answered 500"):
        download.pull(spec_of(here), here, hub=hub.url)
    assert len(waits) == ATTEMPTS - 1


def test_a_pull_that_gets_nowhere_can_be_stopped_by_whoever_looks_on(
    hub: Hub, here: Home, waits: list[float]
) -> None:
    def stop(_done: int, _total: int) -> None:
        if waits:
            raise KeyboardInterrupt

    hub.script.storage_statuses = [503] * 50
    with pytest.raises(KeyboardInterrupt):
        download.pull(spec_of(here), here, progress=stop, hub=hub.url)
    assert len(waits) == 1


def test_nobody_there(here: Home, waits: list[float]) -> None:
    with pytest.raises(HubUnreachableError, match="cannot be reached") as caught:
        download.pull(spec_of(here), here, hub="http://127.0.0.1:9")
    assert "run the same command again" in caught.value.hint


def test_a_circle_of_redirects_ends(hub: Hub, here: Home, waits: list[float]) -> None:
    hub.script.statuses = [(307, {"Location": "/owner/name/resolve/main/model.gguf"})] * 50
    with pytest.raises(HubUnreachableError, match="circle"):
        download.pull(spec_of(here), here, hub=hub.url)


def test_an_address_that_is_none(here: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "somewhere")
    with pytest.raises(DownloadError, match="somewhere"):
        download.pull(spec_of(here), here)


def test_a_silent_server_counts_as_gone(
    hub: Hub, here: Home, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mnemon.runtime.hub.READ_TIMEOUT_S", 0.05)
    monkeypatch.setattr("mnemon.runtime.hub.ATTEMPTS", 2)
    stall = threading.Event()
    server = Server("stalled", hub.script, lambda request: stall.wait(5) and None)
    with pytest.raises(HubUnreachableError, match="timed out"):
        download.pull(spec_of(here), here, hub=server.url)
    stall.set()
    server.close()


def test_a_slow_server_is_waited_for(hub: Hub, here: Home) -> None:
    hub.script.content = CONTENT[:40_000]
    hub.script.delay_s = 0.02
    assert download.pull(spec_of(here), here, hub=hub.url).read_bytes() == CONTENT[:40_000]


def test_the_token_is_shown_to_the_hub_and_nobody_else(hub: Hub, here: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_ENDPOINT", hub.url + "/")
    download.pull(spec_of(here), here)
    assert [h["authorization"] for h in hub.script.headers_of("hub", "HEAD") + hub.script.headers_of("hub")] == [
        "Bearer hf_secret",
        "Bearer hf_secret",
    ]
    assert all("authorization" not in headers for headers in hub.script.headers_of("storage"))


def test_room_is_looked_for_first(hub: Hub, here: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr("mnemon.runtime.download.shutil.disk_usage", lambda _: usage._replace(free=50_000_000))
    with pytest.raises(DiskFullError, match=r"needs 1\.0 MB more, and 50\.0 MB is free"):
        download.pull(spec_of(here), here, hub=hub.url)
    assert hub.script.headers_of("storage") == []


def test_a_disk_that_fills_up_keeps_what_arrived(hub: Hub, here: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    append = Part.append

    def full(self: Any, chunk: bytes) -> None:
        if self.size > 200_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(self, chunk)

    with monkeypatch.context() as patched:
        patched.setattr(Part, "append", full)
        with pytest.raises(DiskFullError, match="No space is left"):
            download.pull(spec_of(here), here, hub=hub.url)
    kept = part_of(here).stat().st_size
    assert kept > 200_000
    hub.script.requests.clear()
    assert download.pull(spec_of(here), here, hub=hub.url).read_bytes() == CONTENT
    assert hub.script.headers_of("storage")[0]["range"] == f"bytes={kept}-"


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(hub: Hub, here: Home) -> None:
    here.models.mkdir(parents=True)
    here.models.chmod(0o500)
    with pytest.raises(ReadOnlyError):
        download.pull(spec_of(here), here, hub=hub.url)


def test_two_pulls_do_not_fight(hub: Hub, here: Home) -> None:
    hub.script.delay_s = 0.01
    hub.script.content = CONTENT[:80_000]
    begun = threading.Event()
    first = threading.Thread(
        target=download.pull, args=(spec_of(here), here), kwargs={"hub": hub.url, "progress": lambda *_: begun.set()}
    )
    first.start()
    assert begun.wait(5)
    with pytest.raises(DownloadError, match="being pulled already"):
        download.pull(spec_of(here), here, hub=hub.url)
    first.join(10)
    assert download.pull(spec_of(here), here, hub=hub.url).read_bytes() == CONTENT[:80_000]


def test_a_killed_pull_goes_on(hub: Hub, here: Home) -> None:
    hub.script.delay_s = 0.005
    program = (
        "import sys; from mnemon.paths import home; from mnemon.runtime import catalog, download;"
        "h = home(sys.argv[1]); download.pull(catalog.find('hf:owner/name/model.gguf', h), h, hub=sys.argv[2])"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(here.root), hub.url])
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline and not (part_of(here).exists() and part_of(here).stat().st_size > 50_000):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait(5)
    kept = part_of(here).stat().st_size
    assert 50_000 < kept < len(CONTENT)
    assert catalog.installed(here) == (catalog.catalog()[0],)
    hub.script.delay_s = 0.0
    hub.script.requests.clear()
    assert download.pull(spec_of(here), here, hub=hub.url).read_bytes() == CONTENT
    assert hub.script.headers_of("storage")[0]["range"] == f"bytes={kept}-"


def test_models_without_a_hub_stay_where_they_are(here: Home, tmp_path: Path) -> None:
    built_in = catalog.catalog()[0]
    assert download.pull(built_in, here) == built_in.path
    with pytest.raises(DownloadError, match="not on any hub"):
        download.pull(replace(built_in, built_in=False, path=None), here)
