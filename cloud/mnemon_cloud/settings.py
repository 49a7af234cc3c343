"""The operator's settings: command line, then environment, then ``cloud.toml``, then the default.

Every key is listed in ``docs/cloud.md``. A key the server does not know is an error, never ignored.
"""

from __future__ import annotations

import difflib
import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from mnemon_cloud.errors import SettingsError

_CHOICES = {"kind": ("llama_cpp", "openai")}
"""What a word may be, where not any will do."""

_LOWEST = {
    "tokens_per_day": 0,
    "queue": 0,
    "kept_answers": 0,
    "threads": 0,
    "gpu_layers": -1,
    "temperature": -1,
    "retries": 0,
    "loop_tokens": 0,
    "drain_seconds": 0,
}
"""The least that a number may be, where that is not 1."""
_HIGHEST = {"temperature": 2}


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """``[server]``: where it listens and how it ends."""

    listen: str = "127.0.0.1:8443"
    """Host and port to listen on; port 0 takes a free one."""
    address: str = "localhost:8443"
    """Host and port under which devices reach it: what invites and the certificate say."""
    metrics: str = "127.0.0.1:9464"
    """Host and port of the Prometheus page; empty for none. It is not protected: keep it inside."""
    workers: int = 1
    """Processes that share the port, each with its share of places and queue, and metrics on ports of their own."""
    reflection: bool = False
    """Let anybody list the methods."""
    drain_seconds: float = 30.0
    """After SIGTERM running answers get this long to end."""
    max_message_bytes: int = 1_048_576
    """A larger request is refused unread."""
    max_call_seconds: float = 600.0
    """A call ends after this long even when its deadline is later."""


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """``[limits]``: who gets how much."""

    tokens_per_day: int = 200_000
    """Tokens a device may use a day (UTC), questions and answers together; 0 means no limit."""
    answers_per_device: int = 2
    """Answers one device may have running or waiting at a time, in each process: see docs/scale.md."""
    queue: int = 32
    """Questions that may wait for a free place in the engine."""
    answer_tokens: int = 2048
    """An answer never gets longer than this."""
    slow_reader_seconds: float = 20.0
    """A device that takes nothing off its stream for this long is cut off."""
    kept_answers: int = 16
    """Finished answers kept for a device that asks for it, sealed to it; the oldest go first; 0 keeps none."""
    kept_hours: float = 24.0
    """How long they are kept, unless the device says earlier that it has them."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """``[engine]``: which model answers, and how."""

    kind: str = "llama_cpp"
    """``llama_cpp``: in this process; ``openai``: another server that speaks OpenAI's protocol."""
    model: str = "built-in"
    """``built-in`` or the path of a GGUF file; the model's name at the other server."""
    name: str = ""
    """What devices are told the model is called; empty means the file's name."""
    parallel: int = 8
    """Answers generated at a time, batched into the same decodes."""
    window: int = 4096
    """Tokens of question and answer together."""
    threads: int = 0
    """CPU threads; 0 means as many as there are usable cores."""
    gpu_layers: int = 0
    """Layers put on the GPU; -1 means all."""
    temperature: float = -1.0
    """Sampling temperature where the device does not say; below 0: see :attr:`drawn_at`."""
    loop_tokens: int = 128
    """An answer that says the same one to eight tokens over and over for so long ends there; 0: never."""
    url: str = "http://127.0.0.1:8000/v1"
    """Where the other server is; ``unix:/path`` for a socket."""
    key_file: str = ""
    """A file with the key the other server wants; empty for none."""
    patience_seconds: float = 60.0
    """The other server may be silent for so long, before its first word and between two."""
    retries: int = 2
    """How often a question is sent again that failed before its first word."""
    cache_salt: bool = True
    """Tell the other server to keep the prompt caches of devices apart."""

    @property
    def drawn_at(self) -> float:
        """The temperature that holds; where none is set, 0 for the built-in model, as its card says, else 0.7."""
        if self.temperature >= 0:
            return self.temperature
        return 0.0 if self.model == "built-in" else 0.7


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """``[storage]``: where devices, allowances and kept answers are."""

    url: str = ""
    """``postgresql://user@host/database``; empty for the SQLite file in the server's folder."""
    connections: int = 8
    """Connections to PostgreSQL at most, for each process."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, as sections."""

    server: ServerSettings = field(default_factory=ServerSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)

    def with_values(self, values: Mapping[str, Mapping[str, Any]], *, origin: str) -> Settings:
        """These settings with ``{section: {key: value}}`` laid over them.

        Raises:
            SettingsError: Unknown section or key, or a value of the wrong type or range; names ``origin``.
        """
        sections: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, entries in values.items():
            if name not in sections:
                raise SettingsError(f"{origin}: there is no section [{name}].", hint=_did_you_mean(name, sections))
            if not isinstance(entries, Mapping):
                raise SettingsError(f"{origin}: {name} must be a section.", hint=f"Write [{name}].")
            hints = get_type_hints(type(sections[name]))
            checked = {k: _checked(f"{name}.{k}", k, v, hints, origin) for k, v in entries.items()}
            sections[name] = replace(sections[name], **checked)
        return Settings(**sections)


def load(file: Path, *, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> Settings:
    """Read the settings that hold.

    Args:
        file: ``cloud.toml``; may be missing.
        overrides: What the command line said, as ``{section: {key: value}}``.

    Raises:
        SettingsError: The file or a ``MNEMON_CLOUD_SECTION_KEY`` variable cannot be understood.
    """
    try:
        values = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        values = {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{file} cannot be read: {error}.", hint="Mend or remove it.") from error
    settings = Settings().with_values(values, origin=str(file))
    settings = settings.with_values(_from_environment(settings), origin="environment")
    return settings.with_values(overrides or {}, origin="command line")


def _from_environment(settings: Settings) -> dict[str, dict[str, Any]]:
    """``MNEMON_CLOUD_SERVER_LISTEN=…`` as ``{"server": {"listen": …}}``."""
    found: dict[str, dict[str, Any]] = {}
    for section in fields(settings):
        hints = get_type_hints(type(getattr(settings, section.name)))
        for key, kind in hints.items():
            text = os.environ.get(f"MNEMON_CLOUD_{section.name}_{key}".upper())
            if text is not None:
                found.setdefault(section.name, {})[key] = _parsed(text, kind)
    return found


def _parsed(text: str, kind: type) -> Any:
    """The value a variable's text means; what it does not mean is left as text and refused by the type check."""
    try:
        if kind is bool:
            return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
        return kind(text)
    except ValueError:
        return text


def _checked(name: str, key: str, value: Any, hints: Mapping[str, type], origin: str) -> Any:
    if key not in hints:
        raise SettingsError(f"{origin}: there is no setting {name}.", hint=_did_you_mean(key, hints))
    kind = hints[key]
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise SettingsError(f"{origin}: {name} must be a {kind.__name__}, not {value!r}.", hint="See docs/cloud.md.")
    if isinstance(value, int | float) and kind is not bool:
        if not math.isfinite(value):
            raise SettingsError(f"{origin}: {name} must be a number, not {value}.", hint="See docs/cloud.md.")
        if value < _LOWEST.get(key, 1 if kind is int else 0.1):
            raise SettingsError(f"{origin}: {name} = {value} is too small.", hint="See docs/cloud.md.")
        if value > _HIGHEST.get(key, value):
            raise SettingsError(f"{origin}: {name} = {value} is too large.", hint="See docs/cloud.md.")
    if value not in _CHOICES.get(key, (value,)):
        raise SettingsError(f"{origin}: {name} = {value!r}.", hint=f"Write {' or '.join(_CHOICES[key])}.")
    return value


def _did_you_mean(word: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"Did you mean {close[0]}?" if close else f"There are {', '.join(known)}."
