"""``python -m train_builtin prepare|train|export|losses|all CONFIG``: see README.md beside this file."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tokenizers import Tokenizer

from train_builtin import checkpoint, export, losses, prepare, settings, training
from train_builtin.check import parity

_CONFIGS = Path(__file__).parent / "configs"
_STEPS = ("prepare", "conversations", "train", "export", "losses", "all")


def main() -> None:
    """Run the steps asked for."""
    options = _options()
    path = options.config if options.config.suffix else _CONFIGS / f"{options.config}.toml"
    configured = settings.load(path)
    work = options.work or Path("build/train_builtin") / path.stem
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:7.0f} s  {text}", file=sys.stderr, flush=True)

    if options.start_from:
        start_from(options.start_from, work)
    if options.step in ("prepare", "all"):
        prepare.prepare(configured, work, options.corpus, say)
    if options.step == "conversations":
        prepare.prepare_conversations(configured, work, say, seed=options.seed)
    if options.step in ("train", "all"):
        training.train(configured, work, say, minutes=options.minutes, device=options.device)
    if options.step in ("export", "all"):
        for path in write(configured, work, say):
            print(path)
    if options.step in ("losses", "all"):
        print(losses.draw(work))


def start_from(source: Path, work: Path) -> None:
    """Put the weights and the vocabulary of a GGUF file where a run goes on from.

    Raises:
        SystemExit: The folder's rows were cut with another vocabulary: to these weights they would be noise.
    """
    work.mkdir(parents=True, exist_ok=True)
    path = prepare.tokenizer_path(work)
    with tempfile.TemporaryDirectory() as folder:
        model = export.read(source, Path(folder) / "tokenizer.json")
        read = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    if path.exists() and Tokenizer.from_file(str(path)).get_vocab() != read.get_vocab():
        raise SystemExit(f"{work} was prepared with another vocabulary. Choose another --work, and prepare it after.")
    read.save(str(path))
    checkpoint.save(work, model, checkpoint.Progress())


def write(configured: settings.Settings, work: Path, say: prepare.Say) -> list[Path]:
    """The GGUF files of a run's checkpoint, each checked against PyTorch."""
    model, _, _ = checkpoint.load(configured, work)
    tokenizer = Tokenizer.from_file(str(prepare.tokenizer_path(work)))
    half = work / f"{configured.export.name.lower().replace(' ', '-')}-f16.gguf"
    export.write_f16(model, prepare.tokenizer_path(work), configured.export, half)
    written = [half]
    for kind in configured.export.types:
        written.append(half.with_name(half.name.replace("f16", kind)))
        export.quantize(half, written[-1], kind)
    for path in written:
        say(f"{path.name}: {path.stat().st_size} bytes; {parity(model, tokenizer, path)}")
    return written


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m train_builtin", description="Train the built-in chat model.")
    parser.add_argument("step", choices=_STEPS, help="all: prepare, train, export")
    known = ", ".join(sorted(p.stem for p in _CONFIGS.glob("*.toml")))
    parser.add_argument("config", type=Path, help=f"{known}, or a file")
    parser.add_argument("--corpus", type=Path, help="folder of the training text; without it only own conversations")
    parser.add_argument("--work", type=Path, help="the run's folder (default: build/train_builtin/CONFIG)")
    parser.add_argument("--minutes", type=float, help="training time instead of the configured one")
    parser.add_argument("--seed", type=int, help="of fresh conversations (step `conversations`)")
    parser.add_argument("--start-from", type=Path, metavar="GGUF", help="go on from this file's weights")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
