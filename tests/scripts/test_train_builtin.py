"""The training pipeline, from text to an answer; without PyTorch (the extra `train`) these tests are skipped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
pytest.importorskip("gguf", reason="the extra `dev` or `train` is not installed")

from train_builtin import check, checkpoint, circuit, export, prepare, settings, training  # noqa: E402
from train_builtin import tokenizer as vocabulary  # noqa: E402
from train_builtin.__main__ import start_from  # noqa: E402
from train_builtin.model import Decoder, loss  # noqa: E402
from train_builtin.optimizer import orthogonal  # noqa: E402
from train_builtin.packing import pack  # noqa: E402

from mnemon.runtime import templates  # noqa: E402
from mnemon.runtime.chat_model import ChatMessage  # noqa: E402
from mnemon.runtime.vocabulary import Model  # noqa: E402

torch.set_num_threads(1)  # two threads that wait for each other crawl on a busy machine

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
TINY = settings.load(SCRIPTS / "train_builtin" / "configs" / "tiny.toml")
SMALLER = replace(
    TINY,
    data=replace(TINY.data, conversations=400),
    training=replace(TINY.training, batch_rows=2, micro_rows=1),
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with 400 conversations in rows."""
    work = tmp_path_factory.mktemp("run")
    prepare.prepare(SMALLER, work, None, lambda _: None)
    return work


@pytest.fixture(scope="module")
def begun(prepared: Path) -> Decoder:
    """The weights a run starts from."""
    return training.begin(SMALLER, prepared)


@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=60),
    row=st.integers(20, 50),
    seed=st.integers(0, 9),
)
def test_packing_keeps_every_document_whole_and_apart(sizes: list[int], row: int, seed: int) -> None:
    documents = [(np.full(n, i + 1, np.uint16), np.ones(n, np.bool_)) for i, n in enumerate(sizes)]
    rows = pack(documents, row, np.random.default_rng(seed))
    found: dict[int, int] = {}
    for tokens, learned, numbers in zip(rows.tokens, rows.learned, rows.documents, strict=True):
        assert (learned == (numbers > 0)).all()
        for number in set(numbers.tolist()) - {0}:
            (inside,) = np.nonzero(numbers == number)
            assert inside[-1] - inside[0] + 1 == len(inside)
            (which,) = set(tokens[inside].tolist())
            assert which not in found
            found[which] = len(inside)
    assert found == {i + 1: min(n, row) for i, n in enumerate(sizes)}


def test_a_document_neither_sees_nor_predicts_its_neighbour(begun: Decoder) -> None:
    first, second = torch.arange(300, 316), torch.arange(400, 416)
    numbers = torch.tensor([1] * 16 + [2] * 16)[None]
    both = torch.cat([first, second])[None]
    learned = torch.ones_like(both, dtype=torch.bool)
    with torch.no_grad():
        together, count = loss(begun, begun, both, learned, numbers)
        alone = [loss(begun, begun, t[None], learned[:, :16], numbers[:, :16])[0] for t in (first, second)]
    assert count == 30
    assert float(together) == pytest.approx(float(sum(alone)), rel=1e-4)


def test_the_start_can_copy_before_any_training(begun: Decoder) -> None:
    random = torch.Generator().manual_seed(0)
    said = torch.randint(300, TINY.shape.vocabulary, (4, 24), generator=random)
    tokens = said.repeat(1, 3)
    learned = torch.zeros_like(tokens, dtype=torch.bool)
    learned[:, 25:] = True
    with torch.no_grad():
        total, count = loss(begun, begun, tokens, learned, torch.ones_like(tokens))
    assert float(total) / count < 3.0  # chance is ln 2048 = 7.6


def test_muons_directions_are_nearly_orthogonal() -> None:
    strengths = torch.linalg.svdvals(orthogonal(torch.randn(48, 96, generator=torch.Generator().manual_seed(1))))
    assert 0.4 < float(strengths.min()) <= float(strengths.max()) < 1.4


def test_gguf_and_back(begun: Decoder, prepared: Path, tmp_path: Path) -> None:
    half, small = tmp_path / "f16.gguf", tmp_path / "q8.gguf"
    export.write_f16(begun, prepare.tokenizer_path(prepared), TINY.export, half)
    export.quantize(half, small, "q8_0")
    tokenizer = vocabulary.Tokenizer.from_file(str(prepare.tokenizer_path(prepared)))
    same = check.parity(begun, tokenizer, half)
    assert same.same_tokens
    assert same.largest < 0.2
    assert same.agreeing == 1.0
    assert check.parity(begun, tokenizer, small).agreeing > 0.9
    restored = export.read(small, tmp_path / "tokenizer.json")
    again = vocabulary.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert again.encode(check.PROBE[1].content).ids == tokenizer.encode(check.PROBE[1].content).ids
    assert restored.shape == begun.shape
    for mine, theirs in zip(begun.parameters(), restored.parameters(), strict=True):
        assert (mine - theirs).detach().abs().max().item() <= 0.02 * mine.detach().abs().max().item() + 1e-6


def test_the_product_reads_the_tokens_the_model_was_trained_on(
    begun: Decoder, prepared: Path, tmp_path: Path
) -> None:
    path = tmp_path / "f16.gguf"
    export.write_f16(begun, prepare.tokenizer_path(prepared), TINY.export, path)
    said = [*check.PROBE[:-1], ChatMessage("user", "What is <|im_end|> for?")]
    with Model(path, vocabulary_only=True) as model:
        template, _ = templates.load(model)
        read = templates.encode(model, template.layout(said), {})
    tokenizer = vocabulary.Tokenizer.from_file(str(prepare.tokenizer_path(prepared)))
    ((trained, _),) = vocabulary.encode(tokenizer, [said[:-1]], both_sides=False)
    assert read[: len(trained)] == trained.tolist()


def test_weights_with_another_vocabulary_than_the_rows_are_refused(
    begun: Decoder, prepared: Path, tmp_path: Path
) -> None:
    path = tmp_path / "f16.gguf"
    export.write_f16(begun, prepare.tokenizer_path(prepared), TINY.export, path)
    start_from(path, tmp_path / "empty")
    start_from(path, tmp_path / "empty")  # its own vocabulary again
    assert checkpoint.load(TINY, tmp_path / "empty")[1].step == 0
    (tmp_path / "other").mkdir()
    vocabulary.learn(["quite other words, many of them"], 300, prepare.tokenizer_path(tmp_path / "other"))
    with pytest.raises(SystemExit, match="another vocabulary"):
        start_from(path, tmp_path / "other")


@pytest.mark.slow
def test_a_run_that_is_stopped_goes_on_where_it_was(prepared: Path, tmp_path: Path) -> None:
    text = (SCRIPTS / "train_builtin" / "configs" / "tiny.toml").read_text()
    config = tmp_path / "smaller.toml"
    config.write_text(text.replace("batch_rows = 16", "batch_rows = 2").replace("micro_rows = 8", "micro_rows = 1"))
    command = [sys.executable, "-m", "train_builtin", "train", str(config), "--work", str(prepared), "--minutes", "9"]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as run:
        deadline = time.monotonic() + 60
        log = prepared / "losses.jsonl"
        while not log.exists() and time.monotonic() < deadline and run.poll() is None:
            time.sleep(0.2)
        run.send_signal(signal.SIGTERM)
        assert run.wait(60) == 0
    _, before, states = checkpoint.load(TINY, prepared)
    assert before.step >= 20
    assert set(states) == {"muon", "adam"}
    training.train(SMALLER, prepared, lambda _: None, minutes=before.seconds / 60 + 0.02)
    _, after, _ = checkpoint.load(TINY, prepared)
    assert after.step > before.step
    assert after.tokens == after.step * SMALLER.training.batch_rows * SMALLER.data.row


def test_unknown_keys_in_a_configuration_are_named(tmp_path: Path) -> None:
    text = (SCRIPTS / "train_builtin" / "configs" / "tiny.toml").read_text()
    (tmp_path / "c.toml").write_text(text.replace("compile = false", "compile = false\nspeed = 1"))
    with pytest.raises(ValueError, match="speed"):
        settings.load(tmp_path / "c.toml")


def test_every_configuration_loads_and_has_the_size_it_claims() -> None:
    sizes = {
        p.stem: settings.load(p).shape.parameters for p in (SCRIPTS / "train_builtin" / "configs").glob("*.toml")
    }
    assert sizes["small"] <= 15e6
    assert 60e6 <= sizes["base"] <= 120e6
    assert TINY.shape.width > circuit.RESERVED


@pytest.mark.slow
def test_tiny_the_whole_way(tmp_path: Path) -> None:
    """Text, tokens, training, GGUF, quantized, loaded by the product, an answer to a question."""
    work = tmp_path / "tiny"
    command = [sys.executable, "-m", "train_builtin", "all", "tiny", "--work", str(work)]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS), "MNEMON_HOME": str(tmp_path / "home")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    files = [Path(line) for line in done.stdout.splitlines() if line.endswith(".gguf")]
    assert {f.name.rsplit("-", 1)[-1] for f in files} == {"f16.gguf", "q8_0.gguf", "q4_0.gguf"}
    assert "DIFFERENT TOKENS" not in done.stderr
    assert "</svg>" in (work / "losses.svg").read_text()
    ask = [sys.executable, "-m", "mnemon", "ask", "--model", str(files[1]), "My dog is called Biscuit.", "--json"]
    answered = subprocess.run(ask, env=environment, capture_output=True, text=True, check=False)
    assert answered.returncode == 0, answered.stderr
    assert '"answer"' in answered.stdout
