"""Settings: who wins, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mnemon.errors import SettingsError
from mnemon.paths import Home
from mnemon.settings import Settings, load


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_the_command_line_wins_over_environment_over_file_over_default(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load(home).model.threads == 0
    home.settings.write_text("[model]\nthreads = 1\n", "utf-8")
    assert load(home).model.threads == 1
    monkeypatch.setenv("MNEMON_MODEL_THREADS", "2")
    assert load(home).model.threads == 2
    assert load(home, overrides={"model": {"threads": 3}}).model.threads == 3


@pytest.mark.parametrize(
    ("section", "key", "value", "said"),
    [
        ("model", "thraeds", 1, "Did you mean threads?"),
        ("modle", "threads", 1, "Did you mean model?"),
        ("model", "threads", "many", "not a whole number"),
        ("model", "threads", True, "not a whole number"),
        ("model", "threads", -5, "below 0"),
        ("memory", "recall", -1, "below 0"),
        ("routing", "threshold", 7, "not from 0 to 1"),
        ("routing", "threshold", float("nan"), "not from 0 to 1"),
        ("learning", "battery", 101, "not from 0 to 100"),
        ("privacy", "mode", "nevr", "Known: never, ask."),
        ("learning", "hours", "at night", "Write it as 22:00-07:00, or any."),
        ("learning", "hours", "22:00-27:00", "Write it as 22:00-07:00, or any."),
        ("memory", "key", "fiel", "Known: auto, keyring, file, passphrase."),
        ("terminal", "enter_sends", 1, "not true or false"),
        ("terminal", "keymap", {"chat.stop": 1}, "pairs of text"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(section: str, key: str, value: Any, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings().with_values({section: {key: value}}, origin="here")
    assert said in caught.value.one_line()
    assert caught.value.one_line().startswith("here: ")


def test_a_temperature_below_0_means_the_models_own() -> None:
    assert Settings().with_values({"model": {"temperature": -1}}, origin="here").model.temperature == -1.0


def test_a_file_that_is_no_toml_names_the_file(home: Home) -> None:
    home.settings.write_text("threads = = 2", "utf-8")
    with pytest.raises(SettingsError, match=r"settings\.toml"):
        load(home)
