"""The one background process: takes what waits to the cloud, looks after model files, and later joins rounds.

Whoever sends from the outbox holds the sync lock, so that two never send at once: the daemon all the time, the app
and ``mnemon sync once`` for a round. The memory is opened for a round and closed after it, so that a backup or a
change of key never waits for a daemon.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mnemon.errors import MnemonError
from mnemon.memory.locks import sole
from mnemon.sync.account import Accounts, connect
from mnemon.sync.courier import Courier, Delivered
from mnemon.sync.outbox import Outbox

if TYPE_CHECKING:
    from mnemon.memory.memory import Memory
    from mnemon.paths import Home
    from mnemon.settings import Settings

log = logging.getLogger(__name__)

TICK_S: Final = 10.0
"""How often the daemon looks whether there is something to do: a look at a file's time, nothing more."""
_SLEPT_S: Final = 60.0
"""A tick that took this much longer than it should was a sleep, or the clock was set: everything is tried at once."""
_LONGEST_REST_S: Final = 900.0
MODELS_S: Final = 7 * 86_400.0
"""How often pulled models are read whole and compared with what the hub announced."""


@dataclass(frozen=True, slots=True)
class Report:
    """What the last round did, as ``sync.json`` and ``mnemon sync status`` tell it: times and numbers, no words.

    Attributes:
        pid: Of the process that did it.
        round_at: When, seconds since 1970.
        answered: Questions answered since that process began.
        problem: What went wrong in the last round; empty when nothing did.
        models_at: When models were checked, seconds since 1970; 0: never.
        damaged: Names of models whose file is not what the hub announced.
    """

    pid: int = 0
    round_at: float = 0.0
    answered: int = 0
    problem: str = ""
    models_at: float = 0.0
    damaged: tuple[str, ...] = field(default_factory=tuple)


def read_report(home: Home) -> Report:
    """The last report; an empty one when there is none."""
    try:
        found = json.loads(home.sync_report.read_text("utf-8"))
        return Report(**{**found, "damaged": tuple(found["damaged"])})
    except (OSError, ValueError, TypeError, KeyError):
        return Report()


def deliver(memory: Memory, settings: Settings, home: Home, *, hurry: bool = False) -> Delivered | None:
    """One round, if nobody else is at it; None when somebody is.

    Args:
        memory: The owner's.
        settings: ``privacy`` decides whether anything may leave.
        home: Where the lock lies.
        hurry: Try what waits for a later time, too.

    Raises:
        NotEnrolledError: There is no cloud to ask.
        StoreError: The memory cannot be used.
    """
    with sole(home.sync_lock) as alone:
        return _round(memory, settings, home, hurry=hurry) if alone else None


def _round(
    memory: Memory, settings: Settings, home: Home, *, hurry: bool, started: Callable[[Courier], object] | None = None
) -> Delivered:
    from mnemon.privacy.consent import nothing_leaves
    from mnemon.privacy.ledger import Ledger

    ledger = Ledger(memory.store, keep_text=settings.privacy.ledger_text, now=memory.now)
    courier = Courier(memory, ledger, lambda: not nothing_leaves(settings.privacy, home))
    courier.outbox.recover(hurry=hurry)
    if not courier.outbox.due():
        return Delivered(waiting=courier.outbox.waiting())
    if started is not None:
        started(courier)
    client = connect(Accounts(memory.store).get())
    try:
        return courier.round(client)
    finally:
        client.close()


class Daemon:
    """Runs until it is stopped.

    Args:
        home: The owner's data.
        open_memory: Opens the memory for a round; a context manager.
        settings: Read anew for each round.
        wait: Waits so many seconds, or until the event is set; tests set it.
    """

    def __init__(
        self,
        home: Home,
        open_memory: Callable[[], contextlib.AbstractContextManager[Memory]],
        settings: Callable[[], Settings],
        *,
        wait: Callable[[threading.Event, float], object] = threading.Event.wait,
    ) -> None:
        self._home = home
        self._open_memory = open_memory
        self._settings = settings
        self._wait = wait
        self._stopping = threading.Event()
        self._courier: Courier | None = None
        self._report = replace(read_report(home), pid=os.getpid(), answered=0, problem="")
        self._failures = 0
        self._seen: tuple[object, ...] = ()
        self._due_at = 0.0

    def run(self) -> bool:
        """Work until :meth:`stop`; False when another one is at it already."""
        with sole(self._home.sync_lock) as alone:
            if not alone:
                return False
            hurry = True
            while not self._stopping.is_set():
                if hurry or time.time() >= self._due_at or self._state() != self._seen:
                    self._work(hurry=hurry)
                began, monotonic = time.time(), time.monotonic()
                self._wait(self._stopping, TICK_S * random.uniform(0.8, 1.2))
                hurry = abs((time.time() - began) - (time.monotonic() - monotonic)) > _SLEPT_S
            return True

    def stop(self) -> None:
        """End soon. Safe from any thread, and in a signal handler."""
        self._stopping.set()
        courier = self._courier
        if courier is not None:
            courier.stop()

    def _work(self, *, hurry: bool) -> None:
        """One round and what is due besides; whatever goes wrong is told in the report and tried again later."""
        problem = ""
        try:
            settings = self._settings()
            with self._open_memory() as memory:
                if Accounts(memory.store).enrolled:
                    done = _round(memory, settings, self._home, hurry=hurry, started=self._started)
                    problem = done.problem
                    self._report = replace(self._report, answered=self._report.answered + done.answered)
                self._courier = None
                due = Outbox(memory.store).next_at()
            self._failures = 0
            self._due_at = due.timestamp() if due is not None else time.time() + _LONGEST_REST_S
        except MnemonError as error:
            problem = error.one_line()
            log.warning("sync failed: %s", error.code)
            self._failures += 1
            rest = min(_LONGEST_REST_S, TICK_S * 2.0 ** min(self._failures, 8))
            self._due_at = time.time() + rest * random.uniform(0.8, 1.2)
        self._report = replace(self._report, round_at=time.time(), problem=problem)
        if time.time() - self._report.models_at > MODELS_S or self._report.models_at > time.time():
            self._report = replace(self._report, models_at=time.time(), damaged=tuple(damaged_models(self._home)))
        self._write_report()
        self._seen = self._state()

    def _started(self, courier: Courier) -> None:
        self._courier = courier
        if self._stopping.is_set():
            courier.stop()

    def _state(self) -> tuple[object, ...]:
        """Changes when somebody writes to the memory or to the settings."""
        return tuple(_stamp(path) for path in (self._home.store, self._home.store_log, self._home.settings))

    def _write_report(self) -> None:
        part = self._home.sync_report.with_name(self._home.sync_report.name + ".part")
        with contextlib.suppress(OSError):  # a full disk is told by what needs it more
            part.write_text(json.dumps(asdict(self._report)), "utf-8")
            part.replace(self._home.sync_report)


def damaged_models(home: Home) -> Iterator[str]:
    """Names of pulled models whose file is gone bad: other bytes than the hub announced. Reads them whole."""
    from mnemon.runtime import catalog

    for spec in catalog.installed(home):
        manifest = catalog.Manifest.read(spec.path) if spec.path is not None else None
        if manifest is not None and spec.path is not None:
            with contextlib.suppress(OSError), spec.path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != manifest.sha256:
                    yield spec.name


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size
