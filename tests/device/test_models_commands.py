"""``mnemon models`` as a person and as a script uses it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mnemon.commands.app import App
from mnemon.commands.models import models
from mnemon.errors import DownloadError, InputError, ModelMissingError
from mnemon.paths import Home, home
from mnemon.runtime import catalog, download
from mnemon.runtime.catalog import Manifest, ModelSpec
from mnemon.settings import load


@pytest.fixture
def here(own_home: Path) -> Home:
    return home(own_home)


def run(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(models, words, obj=App())
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def pulls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Pulling without a hub: a file and its manifest appear."""
    pulled: list[str] = []

    def pull(spec: ModelSpec, here: Home, **_: Any) -> Path:
        path = catalog.pulled_path(spec, here)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"GGUF")
        Manifest(spec.repository, spec.file, "c" * 40, "ab" * 32, 4, spec.licence, "sha256").write(path)
        pulled.append(spec.name)
        return path

    monkeypatch.setattr(download, "pull", pull)
    return pulled


def test_the_list_marks_the_one_in_use() -> None:
    lines = run("list").stdout.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("*")] == ["built-in"]
    assert len(lines) == 1 + len(catalog.catalog())
    rows = json.loads(run("list", "--json").stdout)
    assert [row["name"] for row in rows if row["in_use"]] == ["built-in"]
    assert [row["name"] for row in rows if row["path"]] == ["built-in"]


def test_pull_use_show_remove(here: Home, pulls: list[str]) -> None:
    pulled = run("pull", "gemma-3-270m")
    assert "Gemma Terms of Use" in pulled.stderr
    assert "mnemon models use gemma-3-270m" in pulled.stderr
    assert str(catalog.find("gemma-3-270m", here).path) in pulled.stdout
    run("use", "gemma-3-270m")
    assert load(here).model.name == "gemma-3-270m"
    shown = json.loads(run("show", "--json").stdout)
    assert (shown["name"], shown["in_use"], shown["sha256"], shown["size_bytes"]) == (
        "gemma-3-270m",
        True,
        "ab" * 32,
        4,
    )
    text = run("show").stdout
    for word in ("Gemma Terms of Use", "4,096 tokens", "just before your message", "ab" * 32, "750 MB"):
        assert word in text
    assert json.loads(run("remove", "gemma-3-270m", "--yes", "--json").stdout)["freed_bytes"] > 4
    assert catalog.find("gemma-3-270m", here).path is None
    assert load(here).model.name == "built-in"


def test_a_model_outside_the_catalog_is_listed_and_usable(here: Home, pulls: list[str], tmp_path: Path) -> None:
    run("pull", "hf:owner/name/file.gguf", "--json")
    assert "hf:owner/name/file.gguf" in run("list").stdout
    own = tmp_path / "own.gguf"
    own.write_bytes(b"GGUF")
    run("use", str(own))
    assert [line.split()[1] for line in run("list").stdout.splitlines() if line.startswith("*")] == [str(own)]
    own.unlink()
    assert "*" not in run("list").stdout


def test_a_pull_of_what_is_here_says_so(pulls: list[str]) -> None:
    assert "already here" in run("pull", "built-in").stdout


def test_using_what_is_not_here_changes_nothing(here: Home) -> None:
    with pytest.raises(ModelMissingError):
        run("use", "qwen3-0.6b")
    assert not here.settings.exists()


def test_removing_asks_first(here: Home, pulls: list[str]) -> None:
    run("pull", "gemma-3-270m")
    with pytest.raises(InputError, match="needs a yes"):
        run("remove", "gemma-3-270m")
    assert catalog.find("gemma-3-270m", here).path is not None


@pytest.mark.parametrize("name", ["built-in", "qwen3-0.6b"])
def test_what_was_not_pulled_cannot_be_removed(name: str) -> None:
    with pytest.raises(InputError):
        run("remove", name, "--yes")


def test_the_beginning_of_a_pull_can_be_removed(here: Home) -> None:
    spec = catalog.find("qwen3-0.6b", here)
    part = catalog.pulled_path(spec, here).with_name(f"{spec.file}.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"GG")
    run("remove", "qwen3-0.6b", "--yes")
    assert not part.exists()


def test_a_failed_pull_and_an_interrupted_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Path:
        raise DownloadError("There is no such thing.", hint="Look again.")

    monkeypatch.setattr(download, "pull", fail)
    with pytest.raises(DownloadError):
        run("pull", "qwen3-0.6b")

    def interrupt(*_: Any, **__: Any) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(download, "pull", interrupt)
    assert "What has arrived is kept" in run("pull", "qwen3-0.6b", code=1).stderr


def test_an_environment_variable_that_goes_before_the_choice_is_told(
    pulls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run("pull", "gemma-3-270m")
    monkeypatch.setenv("MNEMON_MODEL_NAME", "built-in")
    assert "MNEMON_MODEL_NAME" in run("use", "gemma-3-270m").stderr
