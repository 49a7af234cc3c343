"""The house itself: what imports what, what is said where, and that it can be packed."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import click
import pytest

from mnemon import errors, settings
from mnemon.commands.main import LazyGroup, cli

PACKAGES = {"mnemon": "device", "mnemon_cloud": "cloud", "mnemon_protos": "protos", "mnemon_models": "models"}
HEAVY = (
    "numpy",
    "llama_cpp",
    "textual",
    "onnxruntime",
    "tokenizers",
    "sqlite_utils",
    "sqlcipher3",
    "httpx",
    "keyring",
)


def sources(package: str, repository: Path) -> list[Path]:
    return sorted((repository / PACKAGES[package] / package).rglob("*.py"))


def commands(group: click.Command = cli, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    """Every command with the words that call it, groups left out."""
    if not isinstance(group, click.Group):
        return [(path, group)]
    context = click.Context(group)
    found = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        found += commands(command, (*path, name))
    return found


@pytest.fixture(scope="module")
def command_line_page() -> str:
    return (Path(__file__).parents[2] / "docs" / "command-line.md").read_text("utf-8")


@pytest.mark.parametrize("package", PACKAGES)
def test_exported_members(package: str) -> None:
    module = importlib.import_module(package)
    exported = getattr(module, "__all__", [])
    assert exported == sorted(exported)
    for name in exported:
        assert getattr(module, name) is not None


def test_the_api_exports_exactly_the_names_types_are_checked_for(repository: Path) -> None:
    import mnemon

    tree = ast.parse((repository / "device" / "mnemon" / "__init__.py").read_text("utf-8"))
    typed = next(node for node in tree.body if isinstance(node, ast.If)).body
    names = {alias.name for node in typed if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert names | {"__version__"} == set(mnemon.__all__)
    with pytest.raises(AttributeError, match="assistant_"):
        _ = mnemon.assistant_


def test_every_kind_of_error_can_be_caught_by_its_name() -> None:
    import mnemon

    kinds = {kind.__name__ for kind in errors.MnemonError.__subclasses__() if kind.__module__ == errors.__name__}
    assert kinds <= set(mnemon.__all__)


def test_the_version_is_written_in_one_place(repository: Path) -> None:
    wanted = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert importlib.metadata.version("mnemon") == wanted
    for package in PACKAGES:
        for path in sources(package, repository):
            assert f'"{wanted}"' not in path.read_text("utf-8"), path


def test_typed_marker_in_every_package(repository: Path) -> None:
    for package, folder in PACKAGES.items():
        assert (repository / folder / package / "py.typed").exists(), package


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("mnemon", {"mnemon_cloud"}),
        ("mnemon_cloud", {"mnemon"}),
        ("mnemon_protos", {"mnemon", "mnemon_cloud", "mnemon_models"}),
        ("mnemon_models", {"mnemon", "mnemon_cloud", "mnemon_protos"}),
    ],
)
def test_rooms_do_not_reach_into_each_other(package: str, forbidden: set[str], repository: Path) -> None:
    for path in sources(package, repository):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported = {(node.module or "").split(".")[0]}
            else:
                continue
            assert not imported & forbidden, f"{path} imports {imported & forbidden}"


@pytest.mark.parametrize("words", [["-c", "import mnemon"], ["-m", "mnemon.commands.main"]])
def test_nothing_heavy_is_imported_before_it_is_needed(words: list[str]) -> None:
    if words[0] == "-m":
        words = ["-c", "import sys; sys.argv = ['mnemon', '--help']; from mnemon.commands.main import main; main()"]
    program = f"import atexit, sys\natexit.register(lambda: print('\\n' + repr(sorted(sys.modules))))\n{words[1]}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    loaded = set(ast.literal_eval(done.stdout.strip().splitlines()[-1]))
    assert not loaded & set(HEAVY)


@pytest.mark.parametrize(("path", "command"), [pytest.param(*one, id=" ".join(one[0])) for one in commands()])
def test_every_command_has_help_and_is_documented(
    path: tuple[str, ...], command: click.Command, command_line_page: str
) -> None:
    assert command.help, "no help"
    assert f"`mnemon {' '.join(path)}" in command_line_page
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, f"{parameter.opts[0]} has no help"


def test_documented_commands_exist(command_line_page: str) -> None:
    known = {path for path, _ in commands()}
    for words in re.findall(r"^\| `mnemon ([a-z -]+?)(?: [A-Z].*?)?`", command_line_page, re.MULTILINE):
        assert tuple(words.split()) in known


def test_summaries_shown_before_loading_are_those_of_the_commands() -> None:
    context = click.Context(cli)
    for name, (_, summary) in LazyGroup.known.items():
        command = cli.get_command(context, name)
        assert command is not None
        assert (command.help or "").startswith(summary), name


def test_exit_codes_in_the_docs_are_those_of_the_errors(command_line_page: str) -> None:
    documented = dict(re.findall(r"^\| (\d+) \| `(\w+)`", command_line_page, re.MULTILINE))
    kinds = [v for v in vars(errors).values() if isinstance(v, type) and issubclass(v, errors.MnemonError)]
    assert {str(kind.exit_code) for kind in kinds} == set(documented)
    for code, name in documented.items():
        assert getattr(errors, name).exit_code == int(code)


def test_every_setting_is_documented_with_its_default(repository: Path) -> None:
    page = (repository / "docs" / "settings.md").read_text("utf-8")
    documented = dict(re.findall(r"^\| `(\w+\.\w+)` \| `(.*?)` \|", page, re.MULTILINE))
    known = settings.values(settings.Settings())
    assert list(documented) == list(known)
    for name, value in known.items():
        shown = json.dumps(value) if isinstance(value, bool) else str(value)
        assert documented[name] == shown, name


def test_links_in_the_docs_lead_somewhere(repository: Path) -> None:
    for page in [repository / "README.md", *(repository / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_example_in_the_readme_runs(repository: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (repository / "README.md").read_text("utf-8"), re.DOTALL)
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, timeout=60, check=False)
    assert "Biscuit" in done.stdout, done.stderr


def test_the_wheel_holds_all_packages_and_the_models(repository: Path, tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=repository, check=True, capture_output=True, timeout=60, env=dict(os.environ))
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for package in PACKAGES:
        assert f"{package}/__init__.py" in names
        assert f"{package}/py.typed" in names
    for needed in (".gguf", "model.onnx", "tokenizer.json", "catalog.toml"):
        assert any(name.startswith("mnemon_models/") and name.endswith(needed) for name in names), needed
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any(name.startswith(("tests/", "scripts/", "docs/")) for name in names)
