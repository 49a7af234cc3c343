"""The hub of models and its protocol, asked patiently: what a file is, and its bytes from where the last try ended.

``{hub}/{repository}/resolve/{revision}/{file}`` answers with a redirect to the storage, and with the file's size,
SHA-256 and commit in headers of that redirect. Links to the storage expire within minutes, so every try asks anew.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, urljoin, urlsplit

from mnemon.errors import DownloadError, HubUnreachableError

if TYPE_CHECKING:
    import httpx

    from mnemon.runtime.catalog import ModelSpec
    from mnemon.runtime.partial import Part

ATTEMPTS = 6
"""Tries in a row that bring nothing new before giving up: some 15 seconds of waiting in all."""
LONGEST_WAIT_S = 60.0
MOST_REDIRECTS = 5
READ_TIMEOUT_S = 30.0
"""A server that says nothing for this long counts as gone."""

Progress = Callable[[int, int], None]
"""Called with bytes so far and bytes in all."""
_T = TypeVar("_T")
_HEADERS = {"User-Agent": "mnemon", "Accept-Encoding": "identity"}  # sizes and ranges are of the bytes as stored


@dataclass(frozen=True, slots=True)
class Announced:
    """What the hub says about a file before it sends it.

    Attributes:
        url: Where to ask for it, at exactly this commit where the hub names one.
        size: In bytes.
        etag: Names its content; empty when the hub does not.
        sha256: In hexadecimal; empty when the hub does not tell.
        commit: The 40 digits of its revision, or empty.
    """

    url: str
    size: int
    etag: str
    sha256: str
    commit: str


class _Interrupted(Exception):
    """This try failed, the next may not."""

    def __init__(self, why: str, wait_s: float = 0.0) -> None:
        super().__init__(why)
        self.wait_s = wait_s


class Hub:
    """The hub at one address.

    Args:
        address: With its scheme, without a slash at the end. ``HF_TOKEN`` is shown to it and to nobody else.
    """

    def __init__(self, address: str) -> None:
        import httpx

        self._address = address
        self._token = os.environ.get("HF_TOKEN", "").strip()
        self._client = httpx.Client(timeout=httpx.Timeout(READ_TIMEOUT_S, connect=10.0), headers=_HEADERS)

    def __enter__(self) -> Hub:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def announced(self, spec: ModelSpec) -> Announced:
        """Ask what the file is, without fetching it.

        Raises:
            HubUnreachableError: No answer, or none that makes sense, after several tries.
            DownloadError: There is no such file, or it needs permission.
        """
        return self._patiently(lambda: self._announced(spec), lambda: 0)

    def fetch(self, spec: ModelSpec, announced: Announced, part: Part, progress: Progress) -> None:
        """Append what is missing to ``part``; every try goes on where the last one ended.

        Raises:
            HubUnreachableError: Several tries in a row brought nothing new.
            ChecksumError: More arrived than was announced; it has been removed.
            DownloadError: It is gone, or needs permission.
        """
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

    def _announced(self, spec: ModelSpec) -> Announced:
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

    def _fetch(self, spec: ModelSpec, announced: Announced, part: Part, progress: Progress) -> None:
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


def _read_announcement(response: httpx.Response, url: str) -> Announced:
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
    return Announced(url, int(size), bare, sha256, commit)


def _position(response: httpx.Response, part: Part, announced: Announced) -> None:
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
