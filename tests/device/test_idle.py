"""When a lesson may begin by itself: every condition alone, and what each system tells about power and heat."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time, timedelta
from pathlib import Path

import pytest

from mnemon.errors import SettingsError
from mnemon.learning import idle
from mnemon.learning.idle import Machine, Moment, Verdict
from mnemon.settings import LearningSettings

QUIET = Moment(datetime(2026, 3, 2, 3, 0), timedelta(hours=2), new_examples=20)
PLUGGED = Machine(mains=True, battery=90, celsius=50.0, slowed=None, busy=0.1)


def verdict(machine: Machine = PLUGGED, moment: Moment = QUIET, **settings: object) -> Verdict:
    return idle.may_begin(replace(LearningSettings(), **settings), machine, moment)


def test_a_quiet_plugged_in_cool_machine_with_news_may_learn() -> None:
    assert verdict() == Verdict((), ())
    assert verdict().may


@pytest.mark.parametrize(
    ("said", "machine", "moment", "settings"),
    [
        ("learning.background is off", {}, {}, {"background": False}),
        ("7 new examples, 8 are needed", {}, {"new_examples": 7}, {}),
        ("nothing new to learn from", {}, {"new_examples": 0}, {"record": False}),
        ("may begin in 11 h", {}, {"since_lesson": timedelta(hours=1)}, {}),
        ("1 new example, 8 are needed", {}, {"new_examples": 1}, {}),
        ("used just now, 10 min of quiet", {}, {"idle": timedelta(seconds=5)}, {}),
        ("used 3 min ago, 10 min of quiet", {}, {"idle": timedelta(minutes=3)}, {}),
        ("it is 03:00, outside of 22:00-02:00", {}, {}, {"hours": "22:00-02:00"}),
        ("other programs keep the processor busy", {"busy": 0.9}, {}, {}),
        ("not on mains power", {"mains": False}, {}, {}),
        ("49 % left in the battery, 50 % are needed", {"mains": False, "battery": 49}, {}, {"mains": False}),
        ("the processor has 81 °C, 80 °C are allowed", {"celsius": 81.0}, {}, {}),
        ("slowed down by heat", {"celsius": None, "slowed": True}, {}, {}),
    ],
)
def test_each_condition_alone_is_against_it_in_plain_words(
    said: str, machine: dict[str, object], moment: dict[str, object], settings: dict[str, object]
) -> None:
    found = verdict(replace(PLUGGED, **machine), replace(QUIET, **moment), **settings)
    assert len(found.against) == 1
    assert said in found.against[0]


def test_on_battery_a_lesson_may_run_where_the_owner_allows_it() -> None:
    assert verdict(replace(PLUGGED, mains=False, battery=50), mains=False).may


def test_what_the_machine_does_not_tell_is_named_and_does_not_stand_in_the_way() -> None:
    assert verdict(Machine()) == Verdict((), ("whether it is on mains power", "how hot the processor is"))
    assert verdict(Machine(mains=False), mains=False).unknown[0] == "how much is left in the battery"
    assert verdict(Machine(mains=True), temperature=0).unknown == ()


def test_only_power_and_heat_end_a_lesson_under_way() -> None:
    settings = LearningSettings()
    assert idle.may_continue(settings, replace(PLUGGED, busy=5.0)).may
    assert not idle.may_continue(settings, replace(PLUGGED, mains=False)).may
    assert not idle.may_continue(settings, replace(PLUGGED, celsius=90.0)).may


@pytest.mark.parametrize(
    ("hours", "now", "inside"),
    [
        ("any", time(12), True),
        ("22:00-07:00", time(23), True),
        ("22:00-07:00", time(6, 59), True),
        ("22:00-07:00", time(7), False),
        ("9:00 - 17:30", time(17, 29), True),
        ("9:00-17:30", time(8, 59), False),
        ("20:00-24:00", time(23, 59), True),
        ("20:00-24:00", time(0), False),
    ],
)
def test_hours_may_go_over_midnight(hours: str, now: time, inside: bool) -> None:
    assert idle.within(hours, now) is inside


@pytest.mark.parametrize("hours", ["at night", "22-07", "25:00-07:00", "22:61-07:00"])
def test_hours_that_are_no_times_are_an_error_that_names_them(hours: str) -> None:
    with pytest.raises(SettingsError, match=r"learning\.hours"):
        idle.within(hours, time(12))


def supply(sysfs: Path, name: str, **files: str) -> None:
    folder = sysfs / "power_supply" / name
    folder.mkdir(parents=True)
    for file, text in files.items():
        (folder / file).write_text(text + "\n")


def zone(sysfs: Path, number: int, kind: str, temp: str) -> None:
    folder = sysfs / "thermal" / f"thermal_zone{number}"
    folder.mkdir(parents=True)
    (folder / "type").write_text(kind + "\n")
    (folder / "temp").write_text(temp + "\n")


def test_linux_a_laptop_on_battery_with_a_wireless_mouse(tmp_path: Path) -> None:
    supply(tmp_path, "AC", type="Mains", online="0")
    supply(tmp_path, "BAT0", type="Battery", status="Discharging", capacity="63")
    supply(tmp_path, "hidpp_battery_0", type="Battery", scope="Device", status="Full", capacity="5")
    zone(tmp_path, 0, "x86_pkg_temp", "71500")
    zone(tmp_path, 1, "iwlwifi_1", "93000")
    zone(tmp_path, 2, "acpitz", "-273000")
    assert idle._linux(tmp_path, 0.2) == Machine(False, 63, 71.5, None, 0.2)


def test_linux_a_plugged_in_laptop(tmp_path: Path) -> None:
    supply(tmp_path, "ADP1", type="Mains", online="1")
    supply(tmp_path, "BAT0", type="Battery", status="Not charging", capacity="80")
    assert idle._linux(tmp_path, None) == Machine(True, 80)


def test_linux_a_battery_alone_is_believed(tmp_path: Path) -> None:
    supply(tmp_path, "battery", type="Battery", status="Discharging", capacity="20")
    assert idle._linux(tmp_path, None) == Machine(False, 20)


def test_linux_a_machine_without_batteries_is_on_mains(tmp_path: Path) -> None:
    assert idle._linux(tmp_path, None) == Machine(True)


@pytest.mark.parametrize(
    ("batt", "therm", "machine"),
    [
        (
            "Now drawing from 'AC Power'\n -InternalBattery-0 (id=1)\t95%; charged;",
            "CPU_Speed_Limit \t= 100",
            Machine(True, 95, None, False),
        ),
        (
            "Now drawing from 'Battery Power'\n -InternalBattery-0\t41%;",
            "CPU_Speed_Limit = 72",
            Machine(False, 41, None, True),
        ),
        (
            "Now drawing from 'AC Power'",
            "Note: No thermal warning level has been recorded",
            Machine(True, None, None, False),
        ),
        ("", "", Machine()),
    ],
)
def test_macos(batt: str, therm: str, machine: Machine) -> None:
    assert idle._mac(batt, therm, None) == machine


@pytest.mark.parametrize(
    ("line", "percent", "machine"), [(1, 255, Machine(True)), (0, 30, Machine(False, 30)), (255, 255, Machine())]
)
def test_windows(line: int, percent: int, machine: Machine) -> None:
    assert idle._windows(line, percent) == machine


def test_this_machine_can_be_looked_at() -> None:
    assert isinstance(idle.look(), Machine)
