"""Fetching a model from the hub: resumable, compared with what the hub announced, whole or not there at all.

The hub's protocol in short: ``{hub}/{repository}/resolve/{revision}/{file}`` answers with a redirect to the storage,
and with the file's size, SHA-256 and commit in headers of that redirect. While it arrives the file is called
``NAME.part``, with a note beside it of which content it is the beginning of; only a file that matches gets its name,
and only then is its manifest written. Nothing here runs unless the owner asks for a model.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urljoin, urlsplit

from mnemon.errors import ChecksumError, DiskFullError, DownloadError, HubUnreachableError, ReadOnlyError
from mnemon.paths import Home
from mnemon.runtime.catalog import Manifest, ModelSpec, manifest_path, pulled_path

if TYPE_CHECKING:
    import httpx

HUB = "https://huggingface.co"
ATTEMPTS = 6
"""Tries in a row that bring nothing new before giving up: some 15 seconds of waiting in all."""
LONGEST_WAIT_S = 60.0
MOST_REDIRECTS = 5
SPARE_BYTES = 64 * 1024 * 1024
"""Room left over after a download, so that the memory can still be written."""

READ_TIMEOUT_S = 30.0
"""A server that says nothing for this long counts as gone."""

Progress = Callable[[int, int], None]
_T = TypeVar("_T")
_HEADERS = {"User-Agent": "mnemon", "Accept-Encoding": "identity"}  # sizes and ranges are of the bytes as stored
_PULL_AGAIN = "Nothing of it was kept: pull again."


def pull(spec: ModelSpec, home: Home, *, progress: Progress | None = None, hub: str = HUB) -> Path:
    """Fetch the model ``spec`` names and return where it lies; one that is already there whole stays as it is.

    An interrupted pull leaves its beginning behind, and the next one goes on from there.

    Args:
        spec: From :func:`mnemon.runtime.catalog.find`.
        home: Where models are kept.
        progress: Called with (bytes so far, bytes in all), also at the start of a resumed pull.
        hub: Address of the hub. The default gives way to ``HF_ENDPOINT``. ``HF_TOKEN`` is shown to this address
            only, never to the storage it redirects to.

    Raises:
        HubUnreachableError: No answer, or none that makes sense, after several tries.
        ChecksumError: What arrived is not what was announced; it has been removed.
        DownloadError: There is no such file, it needs permission, or another pull of it is running.
        DiskFullError: There is not enough room; says how much is needed.
        ReadOnlyError: The models folder cannot be written.
    """
    if spec.built_in or not spec.repository:
        if spec.path is None:
            raise DownloadError(f"{spec.title} is not on any hub.", hint="See: mnemon models list.")
        return spec.path
    target = pulled_path(spec, home)
    if Manifest.read(target) is not None:
        return target
    address = (os.environ.get("HF_ENDPOINT") or HUB if hub == HUB else hub).rstrip("/")
    if urlsplit(address).scheme not in ("http", "https"):
        raise DownloadError(f"The hub's address cannot be used: {address}.", hint="Mend HF_ENDPOINT.")
    home.create()
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(target):
            return _pull(spec, target, address, progress or _silent)
    except OSError as error:
        raise _disk_error(error, target) from error


@dataclass(frozen=True, slots=True)
class _Announced:
    """What the hub says about a file before it sends it."""

    url: str
    size: int
    etag: str
    sha256: str
    commit: str


def _pull(spec: ModelSpec, target: Path, address: str, progress: Progress) -> Path:
    if Manifest.read(target) is not None:
        return target  # another pull finished it in the meantime
    with _Hub(address) as hub:
        announced = hub.announced(spec)
        with contextlib.closing(_Part.open(target, announced)) as part:
            _room_for(announced.size - part.size, target)
            hub.fetch(spec, announced, part, progress)
            sha256 = part.verified(spec)
    manifest = Manifest(
        repository=spec.repository,
        file=spec.file,
        revision=announced.commit or spec.revision,
        sha256=sha256,
        size_bytes=announced.size,
        licence=spec.licence,
        checked="sha256" if announced.sha256 else "size",
    )
    manifest_path(target).unlink(missing_ok=True)
    part.path.replace(target)
    manifest.write(target)
    part.note.unlink(missing_ok=True)
    return target


class _Interrupted(Exception):
    """This try failed, the next may not."""

    def __init__(self, why: str, wait_s: float = 0.0) -> None:
        super().__init__(why)
        self.wait_s = wait_s


class _Hub:
    """The hub at one address, asked patiently."""

    def __init__(self, address: str) -> None:
        import httpx

        self._address = address
        self._token = os.environ.get("HF_TOKEN", "").strip()
        self._client = httpx.Client(timeout=httpx.Timeout(READ_TIMEOUT_S, connect=10.0), headers=_HEADERS)

    def __enter__(self) -> _Hub:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def announced(self, spec: ModelSpec) -> _Announced:
        """Ask what the file is, without fetching it."""
        return self._patiently(lambda: self._announced(spec), lambda: 0)

    def fetch(self, spec: ModelSpec, announced: _Announced, part: _Part, progress: Progress) -> None:
        """Append what is missing to ``part``; every try goes on where the last one ended."""
        if part.size == announced.size:
            progress(part.size, announced.size)
        else:
            self._patiently(lambda: self._fetch(spec, announced, part, progress), lambda: part.size)

    def _patiently(self, step: Callable[[], _T], reached: Callable[[], int]) -> _T:
        """Repeat ``step`` while it is interrupted; only tries that get no further count towards giving up."""
        import httpx

        failures = 0
        furthest = reached()  # ever: a server that always fails at the same place is given up, too
        while True:
            try:
                return step()
            except (_Interrupted, httpx.TransportError) as error:
                failures = 1 if reached() > furthest else failures + 1
                furthest = max(furthest, reached())
                if failures >= ATTEMPTS:
                    why = " ".join(str(error).split()) or type(error).__name__
                    raise HubUnreachableError(
                        f"{self._address} cannot be reached, or does not send the file: {why}.",
                        hint="What has arrived is kept: run the same command again to go on.",
                    ) from error
                wait = 0.5 * 2 ** (failures - 1) * random.uniform(0.75, 1.25)
                asked = error.wait_s if isinstance(error, _Interrupted) else 0.0
                time.sleep(min(max(wait, asked), LONGEST_WAIT_S))

    def _announced(self, spec: ModelSpec) -> _Announced:
        path = f"{spec.repository}/resolve/{quote(spec.revision, safe='')}/{quote(spec.file)}"
        url = f"{self._address}/{path}"
        for _ in range(MOST_REDIRECTS):
            with self._send("HEAD", url) as response:
                moved = urljoin(url, response.headers.get("Location", ""))
                if response.is_redirect and "X-Linked-Size" not in response.headers and self._is_hub(moved):
                    url = moved  # the repository was renamed; the storage is not asked before its turn
                    continue
                self._refuse_errors(response, spec)
                return _read_announcement(response, url)
        raise HubUnreachableError(f"{self._address} redirects in a circle.", hint="Try again later.")

    def _fetch(self, spec: ModelSpec, announced: _Announced, part: _Part, progress: Progress) -> None:
        progress(part.size, announced.size)  # at every try: who wants to stop a pull that hangs does it here
        headers = {}
        if part.size:
            headers["Range"] = f"bytes={part.size}-"
            if part.storage_etag:
                headers["If-Range"] = part.storage_etag
        url = announced.url
        for _ in range(MOST_REDIRECTS):
            with self._send("GET", url, headers) as response:
                if response.is_redirect and "Location" in response.headers:
                    url = urljoin(url, response.headers["Location"])
                    continue
                self._refuse_errors(response, spec)
                _position(response, part, announced)
                for chunk in response.iter_raw():
                    part.append(chunk)
                    if part.size > announced.size:
                        part.remove()
                        raise ChecksumError("More arrived than was announced.", hint=_PULL_AGAIN)
                    progress(part.size, announced.size)
                if part.size < announced.size:
                    raise _Interrupted("the transfer ended early")
                return
        raise HubUnreachableError(f"{self._address} redirects in a circle.", hint="Try again later.")

    @contextlib.contextmanager
    def _send(self, method: str, url: str, headers: dict[str, str] | None = None) -> Iterator[httpx.Response]:
        sent = dict(headers or {})
        if self._token and self._is_hub(url):
            sent["Authorization"] = f"Bearer {self._token}"
        with self._client.stream(method, url, headers=sent) as response:
            yield response

    def _is_hub(self, url: str) -> bool:
        return urlsplit(url)[:2] == urlsplit(self._address)[:2]  # scheme, host and port

    def _refuse_errors(self, response: httpx.Response, spec: ModelSpec) -> None:
        status = response.status_code
        if status < 400 or status == 416:
            return
        if status in (408, 425, 429) or status >= 500:
            raise _Interrupted(f"it answered {status}", _retry_after(response))
        if not self._is_hub(str(response.url)):
            raise _Interrupted(f"the storage answered {status}")  # links to it expire within minutes: ask anew
        what = f"{spec.repository}/{spec.file}"
        code = response.headers.get("X-Error-Code", "")
        if status in (401, 403) and code != "RepoNotFound":
            raise DownloadError(
                f"{what} needs permission ({status}).",
                hint=f"Accept its terms at {self._address}/{spec.repository} and set HF_TOKEN.",
            )
        if status in (401, 404):
            raise DownloadError(f"There is no {what} on {self._address}.", hint="Check the name on the hub's page.")
        raise DownloadError(f"{self._address} refuses {what} ({status}).", hint="Try again later.")


def _read_announcement(response: httpx.Response, url: str) -> _Announced:
    headers = response.headers
    etag = headers.get("X-Linked-ETag") or headers.get("ETag") or ""
    size = headers.get("X-Linked-Size") or ("" if response.is_redirect else headers.get("Content-Length", ""))
    if not size.isdigit() or int(size) == 0:
        raise _Interrupted("it does not tell how large the file is")
    bare = etag.removeprefix("W/").strip('"')
    commit = headers.get("X-Repo-Commit", "")
    if re.fullmatch("[0-9a-f]{40}", commit):  # fetch exactly what was announced, even if the branch moves on
        url = re.sub(r"/resolve/[^/]+/", f"/resolve/{commit}/", url, count=1)
    sha256 = bare.lower() if re.fullmatch("[0-9a-fA-F]{64}", bare) else ""
    return _Announced(url, int(size), bare, sha256, commit)


def _position(response: httpx.Response, part: _Part, announced: _Announced) -> None:
    """Make ``part`` end where the body of ``response`` begins."""
    if response.status_code == 206:
        begins = re.match(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if begins and int(begins[1]) == part.size and begins[2] in ("*", str(announced.size)):
            return
        part.restart()
        raise _Interrupted("it sent another part of the file than asked for")
    if response.status_code == 416:
        part.restart()
        raise _Interrupted("it does not go on where the last try ended")
    etag = response.headers.get("ETag", "")
    part.restart(storage_etag="" if etag.startswith("W/") else etag)


def _retry_after(response: httpx.Response) -> float:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else 0.0  # a date is as good as nothing: clocks differ


class _Part:
    """The beginning of a file, its running hash, and the note of what it is the beginning of."""

    def __init__(self, path: Path, announced: _Announced, storage_etag: str) -> None:
        self.path = path
        self.note = path.with_name(path.name + ".json")
        self.storage_etag = storage_etag
        self._announced = announced
        self._file = path.open("ab")
        self._hash = hashlib.sha256()
        self.size = 0

    @classmethod
    def open(cls, target: Path, announced: _Announced) -> _Part:
        """The part left by an earlier pull if it is of the same content, else an empty one."""
        path = target.with_name(target.name + ".part")
        note: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            note = json.loads(path.with_name(path.name + ".json").read_text("utf-8"))
        if target.exists() and target.stat().st_size == announced.size and not path.exists():
            target.replace(path)  # all but its manifest was there: check it again instead of fetching it again
            note = {"etag": announced.etag, "size": announced.size}
        same = announced.etag != "" and [note.get("etag"), note.get("size")] == [announced.etag, announced.size]
        if not same or (path.exists() and path.stat().st_size > announced.size):
            path.unlink(missing_ok=True)
        part = cls(path, announced, str(note.get("storage_etag", "")) if same else "")
        part._reread()
        part._write_note()
        return part

    def append(self, chunk: bytes) -> None:
        """Add bytes at the end."""
        self._file.write(chunk)
        self._hash.update(chunk)
        self.size += len(chunk)

    def restart(self, storage_etag: str = "") -> None:
        """Throw away what is there."""
        self._file.truncate(0)
        self._hash = hashlib.sha256()
        self.size = 0
        self.storage_etag = storage_etag
        self._write_note()

    def verified(self, spec: ModelSpec) -> str:
        """The SHA-256, once size and hash are what was announced and the bytes are on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        found = self._hash.hexdigest()
        if self._announced.sha256 not in ("", found):
            self.remove()
            raise ChecksumError(
                f"{spec.file} arrived damaged: SHA-256 {found[:12]}…, announced {self._announced.sha256[:12]}….",
                hint=_PULL_AGAIN,
            )
        return found

    def remove(self) -> None:
        """Close and delete it."""
        self.close()
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def close(self) -> None:
        """Keep it for the next pull."""
        self._file.close()

    def _reread(self) -> None:
        with self.path.open("rb") as file:
            while chunk := file.read(1 << 20):
                self._hash.update(chunk)
                self.size += len(chunk)

    def _write_note(self) -> None:
        note = {"etag": self._announced.etag, "size": self._announced.size, "storage_etag": self.storage_etag}
        self.note.write_text(json.dumps(note), "utf-8")


@contextlib.contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Hold the right to pull ``target``; the lock goes with the process, however it ends."""
    try:
        import fcntl
    except ImportError:  # Windows: an open .part cannot be replaced there, so the second pull fails by itself
        yield
        return
    handle = os.open(target.parent, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise DownloadError(f"{target.name} is being pulled already.", hint="Wait for the other one.") from error
    try:
        yield
    finally:
        os.close(handle)


def _room_for(missing: int, target: Path) -> None:
    free = shutil.disk_usage(target.parent).free
    if missing + SPARE_BYTES > free:
        raise DiskFullError(
            f"{target.name} needs {_gigabytes(missing)} more, and {_gigabytes(free)} is free in {target.parent}.",
            hint="Free some space, or move Mnemon's data with MNEMON_HOME.",
        )


def _disk_error(error: OSError, target: Path) -> DiskFullError | ReadOnlyError | DownloadError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(
            f"No space is left for {target.name}.",
            hint="Free some space and pull again: it goes on where it stopped.",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return ReadOnlyError(f"{target.parent} cannot be written.", hint="Make it writable, or set MNEMON_HOME.")
    return DownloadError(f"{target.name} cannot be stored: {error}.", hint="Check the disk.")


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def _silent(_done: int, _total: int) -> None:
    pass
