"""The owner's settings: command line, then environment, then ``settings.toml``, then the default.

Every key is listed in ``docs/settings.md``. A key Mnemon does not know is an error, never ignored: a misspelt
setting that silently does nothing is worse than one that stops the program.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

from mnemon.errors import DiskFullError, ReadOnlyError, SettingsError
from mnemon.paths import Home

_RANGE = "range"
_ONE_OF = "one of"
_LIKE = "like"


def _between(least: float, most: float) -> dict[str, tuple[float, float]]:
    """What a setting's ``field`` is told, so that other values are refused wherever they come from."""
    return {_RANGE: (least, most)}


def _one_of(*known: str) -> dict[str, tuple[str, ...]]:
    """The same for a setting that is one of a few words."""
    return {_ONE_OF: known}


def _like(pattern: str, example: str) -> dict[str, tuple[str, str]]:
    """The same for a setting that is written in a certain way."""
    return {_LIKE: (pattern, example)}


_HOUR = r"(?:[01]?\d|2[0-4]):[0-5]\d"


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """``[model]``: which local model talks, and how."""

    name: str = "built-in"
    """A catalog name, ``hf:owner/name/file.gguf`` that was pulled, or the path of a GGUF file."""
    threads: int = 0
    """CPU threads; 0 means as many as there are usable cores."""
    context: int = 0
    """Window in tokens; 0 means what the catalog says for this model."""
    temperature: float = -1.0
    """Sampling temperature; below 0 means what the catalog says for this model."""
    max_answer_tokens: int = 512
    """An answer never gets longer than this."""
    chatml_fallback: bool = False
    """Use ChatML when the model's own chat template cannot be used."""


@dataclass(frozen=True, slots=True)
class MemorySettings:
    """``[memory]``: what is remembered and how it is kept."""

    recall: int = 0
    """Recalled memories put before the model; 0 means what the catalog says it can use."""
    extract: bool = True
    """Turn what is told into facts after each answer."""
    key: str = field(default="auto", metadata=_one_of("auto", "keyring", "file", "passphrase"))
    """Where the key lives: ``auto`` (keyring, else file), ``keyring``, ``file`` or ``passphrase``."""
    retention: Mapping[str, int] = field(default_factory=dict)
    """What is forgotten after how many days: ``"topic health, doctor" = 90``, ``"person Dario" = 30``,
    ``"kind address" = 365``, ``"imported" = 400``."""


@dataclass(frozen=True, slots=True)
class RoutingSettings:
    """``[routing]``: which questions are worth asking a bigger model."""

    threshold: float = field(default=0.5, metadata=_between(0, 1))
    """From 0 to 1: a question at least this hard is offered to the cloud; 0 offers every one, 1 none."""


@dataclass(frozen=True, slots=True)
class PrivacySettings:
    """``[privacy]``: what may leave the device."""

    mode: str = field(default="ask", metadata=_one_of("never", "ask"))
    """``ask`` shows what would leave and asks each time, unless a topic is allowed; ``never`` lets nothing leave."""
    health: bool = False
    """Let words on somebody's health leave; otherwise they are cut out."""
    ledger_text: bool = True
    """Keep the exact words that left in the ledger; otherwise only their salted digest."""


@dataclass(frozen=True, slots=True)
class LearningSettings:
    """``[learning]``: what is learned from what the owner does with answers, and when."""

    record: bool = True
    """Keep what was done with an answer (edited, picked, praised) to learn from it."""
    use: bool = True
    """Answer with what was learned."""
    background: bool = True
    """Learn by itself while the app is open and nobody uses it."""
    minutes: int = 10
    """How long such a lesson may take."""
    idle_minutes: int = 10
    """It begins when nobody has used the app for so long."""
    hours: str = field(default="any", metadata=_like(rf"(?i:any)?|{_HOUR}\s*-\s*{_HOUR}", "22:00-07:00, or any"))
    """Only in these hours, such as ``22:00-07:00``; ``any``: at any time."""
    mains: bool = True
    """Only on mains power."""
    battery: int = field(default=50, metadata=_between(0, 100))
    """Where ``mains`` is false: only with at least so many percent left in the battery."""
    temperature: int = 80
    """Only while the processor is no hotter than this, in degrees Celsius; 0: however hot it is."""
    new_examples: int = 8
    """Only when there are at least so many examples that no lesson has seen."""
    every_hours: int = 12
    """At least so long between the beginnings of two such lessons."""
    compare_every: int = 25
    """After about this many answers one comes as two to pick from; 0: never."""


@dataclass(frozen=True, slots=True)
class CloudSettings:
    """``[cloud]``: the bigger model, once the device is enrolled at one."""

    wait: bool = True
    """A question that finds no line may wait in the outbox; you are asked for each."""
    max_answer_tokens: int = 0
    """The longest answer; 0 means what the server allows."""


@dataclass(frozen=True, slots=True)
class TerminalSettings:
    """``[terminal]``: the terminal app."""

    theme: str = "textual-dark"
    """Any of Textual's themes."""
    enter_sends: bool = True
    """Enter sends and Shift+Enter, Alt+Enter or Ctrl+J break the line; false swaps them."""
    memory_panel: bool = True
    """Show the memory panel when the window is wide enough."""
    keymap: Mapping[str, str] = field(default_factory=dict)
    """Remapped keys: binding id to key, as in ``"chat.stop" = "ctrl+x"``."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, as sections."""

    model: ModelSettings = field(default_factory=ModelSettings)
    memory: MemorySettings = field(default_factory=MemorySettings)
    routing: RoutingSettings = field(default_factory=RoutingSettings)
    privacy: PrivacySettings = field(default_factory=PrivacySettings)
    learning: LearningSettings = field(default_factory=LearningSettings)
    cloud: CloudSettings = field(default_factory=CloudSettings)
    terminal: TerminalSettings = field(default_factory=TerminalSettings)

    def with_values(self, values: Mapping[str, Mapping[str, Any]], *, origin: str) -> Settings:
        """These settings with ``{section: {key: value}}`` laid over them.

        Raises:
            SettingsError: Unknown section or key, or a value of the wrong type; names ``origin``.
        """
        sections = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, entries in values.items():
            if name not in sections:
                raise SettingsError(f"{origin}: there is no section [{name}].", hint=_did_you_mean(name, sections))
            if not isinstance(entries, Mapping):
                raise SettingsError(f"{origin}: {name} must be a section.", hint=f"Write [{name}].")
            section = sections[name]
            hints = get_type_hints(type(section))
            checked = {k: _checked(f"{name}.{k}", v, hints, origin) for k, v in entries.items()}
            for key in fields(section):
                if key.name in checked and _RANGE in key.metadata:
                    _within(f"{name}.{key.name}", checked[key.name], key.metadata[_RANGE], origin)
                if key.name in checked and _ONE_OF in key.metadata:
                    _among(f"{name}.{key.name}", checked[key.name], key.metadata[_ONE_OF], origin)
                if key.name in checked and _LIKE in key.metadata:
                    _written(f"{name}.{key.name}", checked[key.name], key.metadata[_LIKE], origin)
            sections[name] = replace(section, **checked)
        return Settings(**sections)


def load(home: Home, *, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> Settings:
    """Read the settings that hold for ``home``.

    Args:
        home: Where ``settings.toml`` may lie.
        overrides: What the command line said, as ``{section: {key: value}}``.

    Raises:
        SettingsError: The file or a ``MNEMON_SECTION_KEY`` variable cannot be understood.
    """
    settings = Settings()
    try:
        text = home.settings.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):  # a home that is a file is refused when it is first written to
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{home.settings} cannot be read: {error}.", hint="Mend or remove it.") from error
    try:
        settings = settings.with_values(tomllib.loads(text), origin=str(home.settings))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{home.settings}: {error}.", hint="Mend that line.") from error
    settings = settings.with_values(_from_environment(settings), origin="environment")
    return settings.with_values(overrides or {}, origin="command line")


def save_value(home: Home, section: str, key: str, value: str | bool | int | float) -> None:
    """Change one value in ``settings.toml``, keeping everything else in it as it is.

    Raises:
        SettingsError: The key does not exist, the value has the wrong type, or the file is written in a way that
            Mnemon can read but not change; then it stays as it is.
        DiskError: The file cannot be written.
    """
    Settings().with_values({section: {key: value}}, origin="settings")
    home.create()
    try:
        old = home.settings.read_text("utf-8") if home.settings.exists() else ""
        new = _with_line(old, section, key, _toml(value))
        if _read_back(new, section, key) != value:
            raise SettingsError(f"{home.settings} cannot be changed from here.", hint=f"Set {section}.{key} in it.")
        _write_atomically(home.settings, new)
    except UnicodeDecodeError as error:
        raise SettingsError(f"{home.settings} cannot be read: {error}.", hint="Mend or remove it.") from error
    except OSError as error:
        kind = DiskFullError if error.errno in (28, 122) else ReadOnlyError  # ENOSPC, EDQUOT
        hint = "Free some space, or make it writable."
        raise kind(f"{home.settings} cannot be written: {error.strerror}.", hint=hint) from error


def save_text(home: Home, name: str, text: str) -> None:
    """Change one setting from words, as the command line does: ``save_text(home, "model.threads", "2")``.

    Raises:
        SettingsError: There is no such setting, ``text`` is no value of its type, or it holds more than one value.
        DiskError: The file cannot be written.
    """
    section, _, key = name.partition(".")
    sections = {f.name: getattr(Settings(), f.name) for f in fields(Settings)}
    if section not in sections:
        raise SettingsError(f"There is no setting {name}.", hint=_did_you_mean(section, sections))
    kind = get_type_hints(type(sections[section])).get(key, str)
    if kind not in (str, int, float, bool):
        raise SettingsError(f"{name} holds more than one value.", hint=f"Change it in {home.settings}.")
    save_value(home, section, key, _from_text(text, kind))


def values(settings: Settings) -> dict[str, Any]:
    """Every setting by its full name, such as ``model.threads``, in the order of the documentation."""
    return {
        f"{section.name}.{key.name}": getattr(getattr(settings, section.name), key.name)
        for section in fields(settings)
        for key in fields(getattr(settings, section.name))
    }


def _read_back(text: str, section: str, key: str) -> Any:
    """What a settings file says; None when it cannot be understood any more."""
    try:
        found = tomllib.loads(text).get(section)
    except tomllib.TOMLDecodeError:
        return None
    return found.get(key) if isinstance(found, dict) else None


def _with_line(text: str, section: str, key: str, value: str) -> str:
    lines = text.split("\n") if text else []
    while lines and not lines[-1].strip():
        lines.pop()
    header = re.compile(rf"\s*\[\s*{re.escape(section)}\s*\]\s*(?:#.*)?")
    start = next((i for i, line in enumerate(lines) if header.fullmatch(line)), None)
    if start is None:
        lines += ([""] if lines else []) + [f"[{section}]", f"{key} = {value}"]
        return "\n".join(lines) + "\n"
    end = next((i for i in range(start + 1, len(lines)) if lines[i].lstrip().startswith("[")), len(lines))
    for i in range(start + 1, end):
        if lines[i].split("=")[0].strip() == key:
            lines[i] = f"{key} = {value}"
            break
    else:
        lines.insert(start + 1, f"{key} = {value}")
    return "\n".join(lines) + "\n"


def _toml(value: str | bool | int | float) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _write_atomically(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _from_environment(settings: Settings) -> dict[str, dict[str, Any]]:
    """``MNEMON_MODEL_THREADS=2`` becomes ``{"model": {"threads": 2}}``; MNEMON_HOME is not a setting."""
    found: dict[str, dict[str, Any]] = {}
    for section_field in fields(settings):
        section = getattr(settings, section_field.name)
        hints = get_type_hints(type(section))
        for key_field in fields(section):
            text = os.environ.get(f"MNEMON_{section_field.name}_{key_field.name}".upper())
            if text is not None and hints[key_field.name] in (str, int, float, bool):
                value = _from_text(text, hints[key_field.name])
                found.setdefault(section_field.name, {})[key_field.name] = value
    return found


def _from_text(text: str, kind: type) -> Any:
    if kind is bool:
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(text.lower(), text)
    try:
        return kind(text)
    except ValueError:
        return text  # the type check names the key and the value


def _checked(name: str, value: Any, hints: Mapping[str, Any], origin: str) -> Any:
    key = name.split(".")[-1]
    if key not in hints:
        raise SettingsError(f"{origin}: there is no setting {name}.", hint=_did_you_mean(key, hints))
    wanted = hints[key]
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if wanted in (str, int, float, bool):
        if wanted is int and type(value) is int and value < 0:
            raise SettingsError(f"{origin}: {name} = {value} is below 0.", hint="Take 0 or a larger number.")
        if type(value) is wanted:
            return value
        raise SettingsError(f"{origin}: {name} = {value!r} is not {_kind_name(wanted)}.", hint="Mend the value.")
    _, inner = get_args(wanted)
    if isinstance(value, Mapping) and all(type(v) is inner and (inner is str or v > 0) for v in value.values()):
        return dict(value)
    what = "pairs of text" if inner is str else "numbers above 0, each with its name"
    raise SettingsError(f"{origin}: {name} must hold {what}.", hint="See docs/settings.md.")


def _within(name: str, value: float, bounds: tuple[float, float], origin: str) -> None:
    least, most = bounds
    if not least <= value <= most:  # also what is no number at all
        what = f"{name} = {value:g} is not from {least:g} to {most:g}"
        raise SettingsError(f"{origin}: {what}.", hint="Mend the value.")


def _among(name: str, value: str, known: tuple[str, ...], origin: str) -> None:
    if value not in known:
        raise SettingsError(f"{origin}: {name} = {value!r} is unknown.", hint=f"Known: {', '.join(known)}.")


def _written(name: str, value: str, form: tuple[str, str], origin: str) -> None:
    pattern, example = form
    if not re.fullmatch(pattern, value.strip()):
        raise SettingsError(f"{origin}: {name} = {value!r} cannot be understood.", hint=f"Write it as {example}.")


def _kind_name(kind: type) -> str:
    return {str: "text", int: "a whole number", float: "a number", bool: "true or false"}[kind]


def _did_you_mean(word: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(word, known, 1)
    return f"Did you mean {close[0]}?" if close else f"Known: {', '.join(known)}."
