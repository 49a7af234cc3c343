"""The catalog is complete, read strictly, and names mean what they should."""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemon.errors import InputError, ModelMissingError, NotFoundError, SettingsError
from mnemon.paths import Home, home
from mnemon.runtime import catalog
from mnemon.runtime.catalog import Manifest, ModelSpec
from mnemon_models import catalog_text

NAMES = [spec.name for spec in catalog.catalog()]
ENTRY: dict[str, Any] = tomllib.loads(catalog_text())["model"][1]


@pytest.fixture
def here(own_home: Path) -> Home:
    return home(own_home)


def put(here: Home, spec: ModelSpec, content: bytes = b"GGUF") -> Path:
    """What a finished pull leaves behind."""
    path = catalog.pulled_path(spec, here)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    Manifest(spec.repository, spec.file, "c" * 40, "0" * 64, len(content), spec.licence, "sha256").write(path)
    return path


def toml_of(*entries: dict[str, Any]) -> str:
    def value(item: Any) -> str:
        if isinstance(item, dict):
            return "{" + ", ".join(f"{key} = {value(inner)}" for key, inner in item.items()) + "}"
        return json.dumps(item)

    return "\n".join("[[model]]\n" + "\n".join(f"{k} = {value(v)}" for k, v in e.items()) for e in entries)


BUILT_IN: dict[str, Any] = tomllib.loads(catalog_text())["model"][0]


@pytest.mark.parametrize("name", NAMES)
def test_every_entry_is_complete(name: str) -> None:
    spec = next(spec for spec in catalog.catalog() if spec.name == name)
    assert spec.file.endswith(".gguf")
    assert spec.size_bytes < spec.ram_bytes < 8e9
    assert 1024 <= spec.context <= 32768
    assert 4 <= spec.memory_limit <= 16
    assert 0 <= spec.sampling.temperature <= 1
    assert spec.summary.endswith(".")
    assert spec.licence
    assert spec.built_in or spec.memory_placement == "message"


def test_the_built_in_model_is_first_and_as_agreed() -> None:
    spec = catalog.catalog()[0]
    assert (spec.name, spec.memory_placement, spec.memory_limit) == ("built-in", "system", 6)
    assert (spec.context, spec.sampling.temperature, spec.built_in) == (1024, 0.0, True)
    assert spec.path is not None
    assert spec.path.stat().st_size == spec.size_bytes


def test_the_models_people_ask_for_are_there() -> None:
    wanted = {"qwen3-0.6b", "qwen3-1.7b", "qwen3-4b", "gemma-3-270m", "gemma-3-1b", "smollm2-360m", "llama-3.2-1b"}
    assert wanted <= set(NAMES)


@pytest.mark.parametrize("missing", [key for key in ENTRY if key != "built_in"])
def test_an_entry_without_a_field_is_refused(missing: str) -> None:
    broken = {key: value for key, value in ENTRY.items() if key != missing}
    with pytest.raises(SettingsError, match=missing if missing != "name" else "has no name"):
        catalog.parse_catalog(toml_of(BUILT_IN, broken))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sise": 3}, "unknown sise"),
        ({"size_bytes": "big"}, "size_bytes of the wrong type"),
        ({"size_bytes": 0}, "not above 0"),
        ({"context": True}, "context of the wrong type"),
        ({"licence": ""}, "empty licence"),
        ({"memory_placement": "nowhere"}, "memory_placement 'nowhere'"),
        ({"sampling": {"temprature": 1}}, "sampling.temprature"),
        ({"sampling": {"top_k": 1.5}}, "sampling.top_k"),
        ({"sampling": {"top_p": -1}}, "sampling.top_p"),
        ({"repository": "https://elsewhere/x"}, "does not name a file"),
        ({"file": "../../up.gguf"}, "does not name a file"),
        ({"built_in": 1}, "neither true nor false"),
        ({"built_in": True}, "must begin with the one built-in"),
        ({"name": "built-in"}, "is there twice"),
    ],
)
def test_a_wrong_entry_is_refused_by_name(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        catalog.parse_catalog(toml_of(BUILT_IN, {**ENTRY, **changes}))
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["", "[[model]", "model = 3", "model = [1]"])
def test_a_damaged_catalog_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        catalog.parse_catalog(text)


scalars = st.one_of(st.text(max_size=8), st.integers(-5, 5), st.booleans(), st.floats(-2, 2), st.just({}))


@given(st.dictionaries(st.sampled_from([*ENTRY, "extra"]), scalars, min_size=1))
def test_any_change_is_understood_or_refused(changes: dict[str, Any]) -> None:
    entry = {**ENTRY, **changes}
    try:
        specs = catalog.parse_catalog(toml_of(BUILT_IN, entry))
    except SettingsError:
        return
    assert {key: getattr(specs[1], key) for key in entry if key not in ("sampling", "built_in")} == {
        key: value for key, value in entry.items() if key not in ("sampling", "built_in")
    }


def test_what_is_not_here_is_said_with_the_way_to_get_it(here: Home) -> None:
    with pytest.raises(ModelMissingError) as caught:
        catalog.resolve("qwen3-0.6b", here)
    assert "mnemon models pull qwen3-0.6b" in caught.value.hint
    with pytest.raises(ModelMissingError) as caught:
        catalog.resolve("hf:owner/name/file.gguf", here)
    assert "mnemon models pull hf:owner/name/file.gguf" in caught.value.hint


def test_a_slip_of_the_finger_is_understood(here: Home) -> None:
    with pytest.raises(NotFoundError) as caught:
        catalog.resolve("qwen3-0.6", here)
    assert "qwen3-0.6b" in caught.value.hint


def test_a_pulled_model_is_found_by_both_its_names(here: Home) -> None:
    spec = catalog.find("qwen3-0.6b", here)
    path = put(here, spec)
    found = catalog.resolve("qwen3-0.6b", here)
    assert found == replace(spec, path=path, size_bytes=4, revision="c" * 40)
    assert catalog.resolve(f"hf:{spec.repository}/{spec.file}", here) == found
    assert catalog.installed(here) == (catalog.catalog()[0], found)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"repository": "x"}'])
def test_a_file_without_a_sound_manifest_is_not_offered(here: Home, text: str) -> None:
    spec = catalog.find("qwen3-0.6b", here)
    path = put(here, spec)
    catalog.manifest_path(path).write_text(text)
    assert catalog.find("qwen3-0.6b", here).path is None
    assert len(catalog.installed(here)) == 1


def test_a_file_cut_short_is_not_offered(here: Home) -> None:
    spec = catalog.find("qwen3-0.6b", here)
    put(here, spec).write_bytes(b"GG")
    assert catalog.find("qwen3-0.6b", here).path is None


def test_a_file_of_the_owners_own(here: Home, tmp_path: Path) -> None:
    path = tmp_path / "mine.gguf"
    path.write_bytes(b"GGUF....")
    spec = catalog.resolve(str(path), here)
    assert (spec.path, spec.size_bytes, spec.title, spec.repository) == (path, 8, "mine", "")
    path.unlink()
    with pytest.raises(ModelMissingError):
        catalog.resolve(str(path), here)


def test_a_catalogued_file_keeps_its_figures_wherever_it_lies(here: Home, tmp_path: Path) -> None:
    known = catalog.find("qwen3-0.6b", here)
    path = tmp_path / known.file
    path.write_bytes(b"GGUF")
    spec = catalog.resolve(str(path), here)
    assert (spec.thinking, spec.sampling, spec.context) == (True, known.sampling, known.context)


@pytest.mark.parametrize(
    "name",
    ["hf:", "hf:x.gguf", "hf:owner/x.gguf", "hf:owner/name/x.bin", "hf:owner/name/../x.gguf", "hf:o/n/a/../x.gguf"],
)
def test_references_that_name_no_file(here: Home, name: str) -> None:
    with pytest.raises(InputError):
        catalog.find(name, here)


def test_one_part_of_several_is_refused(here: Home) -> None:
    with pytest.raises(InputError, match="several"):
        catalog.find("hf:owner/name/big-00001-of-00003.gguf", here)


@given(st.text(alphabet="abcz09._-/\\", max_size=30), st.text(alphabet="abcz09._-/", max_size=30))
def test_no_reference_leads_out_of_the_models_folder(repository: str, file: str) -> None:
    here = home("/nowhere")
    try:
        spec = catalog.find(f"hf:{repository}/{file}.gguf", here)
    except InputError:
        return
    path = catalog.pulled_path(spec, here)
    assert path.parent.parent == here.models
    assert ".." not in path.parts


@given(
    st.builds(
        Manifest,
        repository=st.text(),
        file=st.text(),
        revision=st.text(),
        sha256=st.text(),
        size_bytes=st.just(3),
        licence=st.text(),
        checked=st.sampled_from(["sha256", "size"]),
    )
)
def test_a_manifest_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, manifest: Manifest) -> None:
    path = tmp_path_factory.mktemp("model") / "x.gguf"
    path.write_bytes(b"abc")
    manifest.write(path)
    assert Manifest.read(path) == manifest
    assert json.loads(catalog.manifest_path(path).read_text()) == asdict(manifest)


def test_a_folder_is_not_taken_for_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match="is not a file"):
        catalog.resolve(str(tmp_path), Home(tmp_path))
