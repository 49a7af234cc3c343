"""Which models there are: the catalog, those on this machine, and what a name means.

A pulled model lies in its own folder below ``models`` in Mnemon's home, with a manifest beside it. The manifest is
written last, so a file without one was never finished and is not offered.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from mnemon.errors import InputError, ModelMissingError, NotFoundError, SettingsError
from mnemon.paths import Home
from mnemon.runtime.chat_model import Sampling

Placement = Literal["system", "message"]
BUILT_IN = "built-in"
_PART_OF_SEVERAL = re.compile(r"-\d{5}-of-\d{5}\.gguf$")
_WORD = r"[A-Za-z0-9][\w.-]*"
_REFERENCE = re.compile(rf"hf:({_WORD}/{_WORD})/((?:{_WORD}/)*{_WORD}\.gguf)")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One chat model: where it comes from, what it needs, and how to talk to it."""

    name: str
    title: str
    path: Path | None
    """The file on this machine; None when it is not here."""
    repository: str
    """Owner and name on the hub, empty for models that come from elsewhere."""
    file: str
    revision: str
    size_bytes: int
    """Of the file; about right before it is pulled, exact afterwards."""
    ram_bytes: int
    """An estimate of what it occupies while chatting with a full window; 0 when unknown."""
    licence: str
    context: int
    """Window in tokens that Mnemon uses; the model may be able to do more."""
    memory_placement: Placement
    """Where recalled memories go in its prompt: with the system text, or before the owner's message."""
    memory_limit: int
    """How many recalled memories it can make use of."""
    sampling: Sampling
    thinking: bool
    """It reasons aloud unless its chat template is told not to."""
    built_in: bool
    summary: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is known about a pulled file; its presence means that the file is whole."""

    repository: str
    file: str
    revision: str
    """The commit the file was taken from."""
    sha256: str
    size_bytes: int
    licence: str
    checked: Literal["sha256", "size"]
    """What the hub announced and was compared; hubs announce a SHA-256 for every large file."""

    def write(self, model: Path) -> None:
        """Put it beside ``model``, whole or not at all."""
        part = model.with_name(model.name + ".json.part")
        part.write_text(json.dumps(asdict(self), indent=2) + "\n", "utf-8")
        part.replace(manifest_path(model))

    @classmethod
    def read(cls, model: Path) -> Manifest | None:
        """The manifest of ``model`` if the file is there in full, else None."""
        try:
            manifest = cls(**json.loads(manifest_path(model).read_text("utf-8")))
            return manifest if model.stat().st_size == manifest.size_bytes else None
        except (OSError, ValueError, TypeError):
            return None  # damaged or half-written counts as not pulled: pulling again mends it


def manifest_path(model: Path) -> Path:
    """Where the manifest of a pulled file lies."""
    return model.with_name(model.name + ".json")


def pulled_path(spec: ModelSpec, home: Home) -> Path:
    """Where the file of ``spec`` lies once it is pulled."""
    return home.models / spec.repository.replace("/", "--") / spec.file.replace("/", "--")


def files_of(spec: ModelSpec, home: Home) -> list[Path]:
    """Everything a pull of ``spec``, finished or not, has left on this machine."""
    path = pulled_path(spec, home)
    names = (path.name, f"{path.name}.json", f"{path.name}.part", f"{path.name}.part.json")
    return [file for file in map(path.with_name, names) if file.exists()]


def catalog() -> tuple[ModelSpec, ...]:
    """Every model Mnemon knows by name, the built-in one first; ``path`` is set for that one only.

    Raises:
        SettingsError: The catalog that came with Mnemon is damaged.
    """
    return _read_catalog()


def installed(home: Home) -> tuple[ModelSpec, ...]:
    """The models on this machine: the built-in one, then those pulled, by name."""
    known = {(spec.repository, spec.file): spec for spec in catalog()}
    found = []
    for path in sorted(home.models.glob("*/*.gguf")):
        manifest = Manifest.read(path)
        if manifest is not None:
            spec = known.get((manifest.repository, manifest.file)) or _uncatalogued(
                manifest.repository, manifest.file
            )
            found.append(_pulled(spec, path, manifest))
    return (catalog()[0], *sorted(found, key=lambda spec: spec.name))


def find(name: str, home: Home) -> ModelSpec:
    """What ``name`` means, whether it is on this machine (``path`` is set) or not.

    Args:
        name: ``built-in``, a catalog name, ``hf:owner/name/file.gguf``, or the path of a GGUF file.
        home: Where pulled models lie.

    Raises:
        InputError: An ``hf:`` reference that cannot be understood.
        ModelMissingError: A path where nothing lies.
        NotFoundError: No model has that name.
    """
    known = {spec.name: spec for spec in catalog()}
    if name.startswith("hf:"):
        spec = _referenced(name)
    elif name in known:
        spec = known[name]
    elif name.endswith(".gguf") or "/" in name or "\\" in name:
        return _local(Path(name).expanduser().absolute())
    else:
        close = difflib.get_close_matches(name, known, 1)
        hint = f"Did you mean {close[0]}?" if close else "See: mnemon models list."
        raise NotFoundError(f"No model is called {name!r}.", hint=hint)
    if spec.built_in:
        return spec
    path = pulled_path(spec, home)
    manifest = Manifest.read(path)
    return spec if manifest is None else _pulled(spec, path, manifest)


def resolve(name: str, home: Home) -> ModelSpec:
    """Like :func:`find`, for a model that is about to be used: it has to be on this machine.

    Raises:
        ModelMissingError: It is not; the hint says how to get it.
    """
    spec = find(name, home)
    if spec.path is None:
        raise ModelMissingError(
            f"{spec.title} is not on this machine.", hint=f"Get it with: mnemon models pull {name}"
        )
    if not spec.path.is_file():
        raise ModelMissingError(f"{spec.path} is not there.", hint="Reinstall mnemon, or choose another model.")
    return spec


def history() -> list[dict[str, Any]]:
    """Every built-in model so far, oldest first, with what ``mnemon eval built-in`` found.

    Each has ``version``, ``file``, ``sha256``, ``parameters``, ``file_bytes``, ``date``, ``command``,
    ``cases_sha256``, ``figures``, ``right``, ``speed``, ``heldout`` and ``heldout_per_byte``.
    """
    from mnemon_models import history_text

    models: list[dict[str, Any]] = tomllib.loads(history_text())["model"]
    return models


@functools.cache
def _read_catalog() -> tuple[ModelSpec, ...]:
    from mnemon_models import catalog_text

    return parse_catalog(catalog_text())


def parse_catalog(text: str) -> tuple[ModelSpec, ...]:
    """Understand a catalog, strictly: every field present, of its type, and nothing else.

    Raises:
        SettingsError: Names the entry and the field that is wrong.
    """
    try:
        entries = tomllib.loads(text).get("model")
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"The model catalog is not TOML: {error}.", hint="Reinstall mnemon.") from error
    if not isinstance(entries, list) or not entries:
        raise _bad("it", "has no [[model]] entries")
    specs = tuple(_spec(entry, number) for number, entry in enumerate(entries, 1))
    names = [spec.name for spec in specs]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise _bad(f"entry {doubled[0]}", "is there twice")
    if [spec.built_in for spec in specs] != [True] + [False] * (len(specs) - 1) or names[0] != BUILT_IN:
        raise _bad("it", "must begin with the one built-in model")
    return specs


_TYPES: dict[str, type] = {
    "name": str,
    "title": str,
    "repository": str,
    "file": str,
    "revision": str,
    "size_bytes": int,
    "ram_bytes": int,
    "licence": str,
    "context": int,
    "memory_placement": str,
    "memory_limit": int,
    "sampling": dict,
    "thinking": bool,
    "summary": str,
}


def _spec(entry: Any, number: int) -> ModelSpec:
    if not isinstance(entry, Mapping):
        raise _bad(f"entry {number}", "is not a table")
    values = dict(entry)
    where = f"entry {values.get('name', number)}"
    built_in = values.pop("built_in", False)
    if type(built_in) is not bool:
        raise _bad(where, "has a built_in that is neither true nor false")
    for key in [*_TYPES, *values]:
        if key not in values:
            raise _bad(where, f"has no {key}")
        if key not in _TYPES:
            raise _bad(where, f"has an unknown {key}")
        if type(values[key]) is not _TYPES[key]:
            raise _bad(where, f"has a {key} of the wrong type: {values[key]!r}")
    for key, value in values.items():
        if value == "" and not (built_in and key in ("repository", "revision")):
            raise _bad(where, f"has an empty {key}")
        if type(value) is int and value <= 0:
            raise _bad(where, f"has {key} = {value}, which is not above 0")
    if values["memory_placement"] not in get_args(Placement):
        raise _bad(where, f"has memory_placement {values['memory_placement']!r}")
    if not built_in and not _REFERENCE.fullmatch(f"hf:{values['repository']}/{values['file']}"):
        raise _bad(where, f"does not name a file on the hub: {values['repository']}/{values['file']}")
    values["sampling"] = _sampling(values["sampling"], where)
    return ModelSpec(path=_built_in_path() if built_in else None, built_in=built_in, **values)


def _sampling(values: Mapping[str, Any], where: str) -> Sampling:
    default = Sampling()
    known = {field.name: type(getattr(default, field.name)) for field in fields(Sampling)}
    checked: dict[str, Any] = {}
    for key, value in values.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if key not in known or not number or value < 0 or (known[key] is int and type(value) is not int):
            raise _bad(where, f"has sampling.{key} = {value!r}")
        checked[key] = known[key](value)
    return Sampling(**checked)


def _bad(where: str, what: str) -> SettingsError:
    return SettingsError(f"The model catalog is wrong: {where} {what}.", hint="Reinstall mnemon.")


def _built_in_path() -> Path:
    from mnemon_models import built_in_model

    return built_in_model()


def _referenced(name: str) -> ModelSpec:
    match = _REFERENCE.fullmatch(name)
    if match is None or ".." in name:
        raise InputError(f"{name!r} names no file on the hub.", hint="Write hf:owner/name/file.gguf.")
    repository, file = match.groups()
    if _PART_OF_SEVERAL.search(file):
        raise InputError(f"{file} is one part of a model cut into several files.", hint="Choose a single-file one.")
    same = (spec for spec in catalog() if (spec.repository, spec.file) == (repository, file))
    return next(same, None) or _uncatalogued(repository, file)


def _uncatalogued(repository: str, file: str) -> ModelSpec:
    """A model nobody described: cautious figures, and the chat settings most small models are content with."""
    return ModelSpec(
        name=f"hf:{repository}/{file}",
        title=Path(file).stem,
        path=None,
        repository=repository,
        file=file,
        revision="main",
        size_bytes=0,
        ram_bytes=0,
        licence="see the model's page",
        context=4096,
        memory_placement="message",
        memory_limit=8,
        sampling=Sampling(temperature=0.7),
        thinking=False,
        built_in=False,
        summary="Not in Mnemon's catalog.",
    )


def _local(path: Path) -> ModelSpec:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ModelMissingError(
            f"{path} is not there.", hint="Check the path, or see: mnemon models list."
        ) from error
    if not path.is_file():
        raise ModelMissingError(f"{path} is not a file.", hint="Name the GGUF file itself.")
    same = (spec for spec in catalog() if not spec.built_in and Path(spec.file).name.lower() == path.name.lower())
    spec = next(same, None) or replace(_uncatalogued("", path.name), licence="unknown")
    return replace(spec, name=str(path), title=path.stem, path=path, repository="", revision="", size_bytes=size)


def _pulled(spec: ModelSpec, path: Path, manifest: Manifest) -> ModelSpec:
    return replace(spec, path=path, revision=manifest.revision, size_bytes=manifest.size_bytes)
