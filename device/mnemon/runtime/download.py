"""Fetching a model from the hub: resumable, compared with what the hub announced, whole or not there at all.

Only a file that matches gets its name (:mod:`mnemon.runtime.partial`), and only then is its manifest written. Nothing
here runs unless the owner asks for a model.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from mnemon.errors import DiskFullError, DownloadError, ReadOnlyError
from mnemon.paths import Home
from mnemon.runtime.catalog import Manifest, ModelSpec, manifest_path, pulled_path
from mnemon.runtime.hub import Hub, Progress
from mnemon.runtime.partial import Part

HUB = "https://huggingface.co"
SPARE_BYTES = 64 * 1024 * 1024
"""Room left over after a download, so that the memory can still be written."""


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


def _pull(spec: ModelSpec, target: Path, address: str, progress: Progress) -> Path:
    if Manifest.read(target) is not None:
        return target  # another pull finished it in the meantime
    with Hub(address) as hub:
        announced = hub.announced(spec)
        with contextlib.closing(Part.open(target, announced)) as part:
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
