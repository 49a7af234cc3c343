"""When a lesson may run by itself: idle, on mains power, cool, within the owner's hours, and with something to learn.

What the machine tells is read from the system, without a library:

========  ==========================================  =====================================================
system    power                                       heat
========  ==========================================  =====================================================
Linux     ``/sys/class/power_supply``                 the hottest ``/sys/class/thermal`` zone
macOS     ``pmset -g batt``                           ``pmset -g therm``: whether it slows the processor
Windows   ``GetSystemPowerStatus``                    nothing that an ordinary program may read
========  ==========================================  =====================================================

What is not told does not stand in the way, and is named as unknown: a lesson must not wait for ever on a machine
without a thermometer. A machine that names no battery counts as on mains power.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path

from mnemon.errors import SettingsError
from mnemon.settings import LearningSettings

BUSY = 0.75
"""Other programs use more than this share of the cores, by the load of the last minute: then they go first."""

_JUST_NOW = timedelta(seconds=90)
_HOURS = re.compile(r"(\d{1,2}):(\d\d)\s*-\s*(\d{1,2}):(\d\d)")
_NOT_THE_PROCESSOR = re.compile(r"batt|charger|wifi|iwl|nvme|skin|pa_?therm|modem|ambient", re.IGNORECASE)
_LIKELY_C = (1.0, 125.0)
"""A zone that reports less or more than this is not connected, or no thermometer."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What the machine tells about itself; None: it does not.

    Attributes:
        mains: On mains power.
        battery: Left in the battery, in percent.
        celsius: The hottest part of the processor.
        slowed: The system slows the processor down because of heat.
        busy: The share of the cores that programs wanted in the last minute, in [0, more than 1].
    """

    mains: bool | None = None
    battery: int | None = None
    celsius: float | None = None
    slowed: bool | None = None
    busy: float | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """What Mnemon knows about now.

    Attributes:
        now: The owner's local time.
        idle: How long nobody has used the app.
        new_examples: Examples that no lesson has seen.
        since_lesson: Since the last lesson began; None when there was none.
    """

    now: datetime
    idle: timedelta
    new_examples: int
    since_lesson: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a lesson may run now.

    Attributes:
        against: Why not, each in plain words; empty: it may.
        unknown: What the machine does not tell and was therefore not asked for.
    """

    against: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def may(self) -> bool:
        """Nothing is against it."""
        return not self.against


def may_begin(settings: LearningSettings, machine: Machine, moment: Moment) -> Verdict:
    """Whether a lesson may begin by itself.

    Raises:
        SettingsError: ``learning.hours`` cannot be understood.
    """
    against: list[str] = []
    if not settings.background:
        against.append("learning.background is off")
    if not settings.record and not moment.new_examples:
        against.append("learning.record is off: there is nothing new to learn from")
    elif moment.new_examples < settings.new_examples:
        noun = "example" if moment.new_examples == 1 else "examples"
        against.append(f"{moment.new_examples} new {noun}, {settings.new_examples} are needed")
    every = timedelta(hours=settings.every_hours)
    if moment.since_lesson is not None and moment.since_lesson < every:
        against.append(f"the next one may begin in {_spoken(every - moment.since_lesson)}")
    wait = timedelta(minutes=settings.idle_minutes)
    if moment.idle < wait:
        ago = f"{_spoken(moment.idle)} ago" if moment.idle >= _JUST_NOW else "just now"
        against.append(f"the app was used {ago}, {_spoken(wait)} of quiet are needed")
    if not within(settings.hours, moment.now.time()):
        against.append(f"it is {moment.now:%H:%M}, outside of {settings.hours}")
    if machine.busy is not None and machine.busy > BUSY:
        against.append("other programs keep the processor busy")
    may_go_on = may_continue(settings, machine)
    return Verdict((*against, *may_go_on.against), may_go_on.unknown)


def may_continue(settings: LearningSettings, machine: Machine) -> Verdict:
    """Whether a lesson under way may go on: only what can do harm ends it, power and heat."""
    against: list[str] = []
    unknown: list[str] = []
    if machine.mains is None:
        unknown.append("whether it is on mains power")
    elif not machine.mains:
        if settings.mains:
            against.append("not on mains power")
        elif machine.battery is None:
            unknown.append("how much is left in the battery")
        elif machine.battery < settings.battery:
            against.append(f"{machine.battery} % left in the battery, {settings.battery} % are needed")
    if settings.temperature:
        if machine.celsius is not None and machine.celsius > settings.temperature:
            against.append(f"the processor has {machine.celsius:.0f} °C, {settings.temperature} °C are allowed")
        elif machine.slowed:
            against.append("the processor is slowed down by heat")
        elif machine.celsius is None and machine.slowed is None:
            unknown.append("how hot the processor is")
    return Verdict(tuple(against), tuple(unknown))


def within(hours: str, now: time) -> bool:
    """Whether ``now`` is in ``hours``, such as ``22:00-07:00``, which may go over midnight; ``any``: always.

    Raises:
        SettingsError: That is no such pair of times.
    """
    if hours.strip().lower() in ("any", ""):
        return True
    found = _HOURS.fullmatch(hours.strip())
    try:
        if found is None:
            raise ValueError
        start, end = time(int(found[1]), int(found[2])), time(int(found[3]) % 24, int(found[4]))
    except ValueError:
        hint = "Write it as 22:00-07:00, or any."
        raise SettingsError(f"learning.hours = {hours!r} is no stretch of time.", hint=hint) from None
    return start <= now < end if start < end else now >= start or now < end


def look() -> Machine:
    """What this machine tells about itself now."""
    busy = None
    if hasattr(os, "getloadavg"):
        busy = os.getloadavg()[0] / (os.cpu_count() or 1)
    if sys.platform == "darwin":
        return _mac(_output("pmset", "-g", "batt"), _output("pmset", "-g", "therm"), busy)
    if sys.platform == "win32":
        return _windows(*_windows_power())
    return _linux(Path("/sys/class"), busy)


# -- systems -------------------------------------------------------------------------------------------------------


def _linux(sysfs: Path, busy: float | None) -> Machine:
    mains: bool | None = None
    battery: int | None = None
    supplies = sorted(sysfs.glob("power_supply/*"))
    if not supplies:
        mains = True  # a machine without a battery, or a container, which cannot tell
    for supply in supplies:
        kind = _read(supply / "type")
        if kind in ("Mains", "USB", "USB_C", "Wireless") and (online := _read(supply / "online")):
            mains = mains or online != "0"
        elif kind == "Battery" and _read(supply / "scope") != "Device":  # a mouse's battery says nothing here
            if _read(supply / "status") in ("Charging", "Full", "Not charging"):
                mains = True
            elif mains is None:
                mains = False
            if (left := _number(_read(supply / "capacity"))) is not None:
                battery = round(left)
    if mains is None and battery is None:
        mains = True
    return Machine(mains, battery, max(_zones(sysfs), default=None), None, busy)


def _zones(sysfs: Path) -> Iterator[float]:
    for zone in sysfs.glob("thermal/thermal_zone*"):
        celsius = (_number(_read(zone / "temp")) or 0.0) / 1000
        if _LIKELY_C[0] < celsius < _LIKELY_C[1] and not _NOT_THE_PROCESSOR.search(_read(zone / "type")):
            yield celsius


def _mac(batt: str, therm: str, busy: float | None) -> Machine:
    mains = True if "AC Power" in batt else False if "Battery Power" in batt else None
    left = re.search(r"(\d{1,3})%", batt)
    speed = re.search(r"CPU_Speed_Limit\s*=\s*(\d+)", therm)
    slowed = int(speed[1]) < 100 if speed else False if "No thermal warning" in therm else None
    return Machine(mains, int(left[1]) if left else None, None, slowed, busy)


def _windows(line: int, percent: int) -> Machine:
    return Machine({0: False, 1: True}.get(line), percent if percent <= 100 else None)


def _windows_power() -> tuple[int, int]:  # pragma: no cover - only Windows has it
    """AC line status (0 off, 1 on, 255 unknown) and battery percent (255 unknown) of SYSTEM_POWER_STATUS."""
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = (
            ("line", ctypes.c_ubyte),
            ("flag", ctypes.c_ubyte),
            ("percent", ctypes.c_ubyte),
            ("saver", ctypes.c_ubyte),
            ("seconds_left", ctypes.c_ulong),
            ("seconds_full", ctypes.c_ulong),
        )

    status = Status()
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009 - elsewhere the name does not exist for mypy either
    if not kernel.GetSystemPowerStatus(ctypes.byref(status)):
        return 255, 255
    return int(status.line), int(status.percent)


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace").strip()
    except OSError:  # such files answer ENODEV and the like while a device sleeps
        return ""


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _spoken(length: timedelta) -> str:
    minutes = max(0, round(length.total_seconds() / 60))
    return f"{minutes} min" if minutes < 120 else f"{round(minutes / 60)} h"
