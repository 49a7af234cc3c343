"""Train the router: ``python -m train_router --text FOLDER`` in ``scripts/`` writes the weights.

Without ``--text`` only our own questions are used, and the weights are somewhat worse.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnemon.answering.questions import understand
from mnemon.evaluation.routing import auc
from mnemon.memory.embedding import Embedder
from mnemon.routing import features
from mnemon.routing.classifier import Classifier
from mnemon.routing.signals import Signals
from train_router import drafts, fitting, open_text, questions
from train_router.questions import Question

PACKAGE = Path(__file__).parents[2] / "device" / "mnemon" / "routing"
OPEN_TEXT_COUNTS = 0.5  # a row whose kind is not known to the letter


def main(arguments: Sequence[str] | None = None) -> None:
    """Make, fit, measure, write."""
    parser = argparse.ArgumentParser(prog="train_router", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--text", type=Path, help="a folder of openly licensed questions (open_text.py says which)")
    parser.add_argument("--weights", type=Path, default=PACKAGE / "weights.npz", help="where to write the weights")
    parser.add_argument("--held-out", type=Path, help="where to write the held-out questions, as JSON Lines")
    options = parser.parse_args(arguments)
    held_out = questions.made(held_out=True)
    if options.held_out:
        rows = ({"q": q.text, "label": "cloud" if q.hard else "local", "kind": q.kinds[0]} for q in held_out)
        options.held_out.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    own = questions.made(held_out=False)
    others = open_text.read(options.text) if options.text else []
    kinds = tuple(sorted({kind for question in own for kind in question.kinds}))
    classifier = trained(own, others, kinds)
    shares = classifier.shares(rows_of(held_out))
    figure = auc(classifier.hard(shares).tolist(), [question.hard for question in held_out])
    print(f"{len(own)} own and {len(others)} other questions; held out: {len(held_out)}, AUC {figure:.4f}")
    np.savez_compressed(
        options.weights,
        kinds=np.array("\n".join(kinds)),
        weights=classifier.weights.astype(np.float16),
        bias=classifier.bias,
        draft=np.array(classifier.draft),
    )


def trained(own: Sequence[Question], others: Sequence[Question], kinds: tuple[str, ...]) -> Classifier:
    """The classifier fitted to these questions, with the draft's weights that were measured apart."""
    every = [*own, *others]
    allowed = np.zeros((len(every), len(kinds)), np.float32)
    for row, question in enumerate(every):
        allowed[row, [kinds.index(kind) for kind in question.kinds]] = 1
    importance = np.array([1.0] * len(own) + [OPEN_TEXT_COUNTS] * len(others), np.float32)
    hard = np.array([kind.startswith("hard ") for kind in kinds])
    weights, bias = fitting.fit(rows_of(every), allowed, hard, importance)
    return Classifier(kinds, weights, bias, drafts.WEIGHTS)


def rows_of(asked: Sequence[Question]) -> NDArray[np.float32]:
    """The features of questions about which memory holds nothing, shape (questions, LENGTH)."""
    understood = [understand(question.text) for question in asked]
    embeddings = Embedder().embed([one.text for one in understood])
    return np.stack(
        [
            features.vector(Signals(question.text, about_owner=one.of_owner and not one.advice), embedding)
            for question, one, embedding in zip(asked, understood, embeddings, strict=True)
        ]
    )


if __name__ == "__main__":
    main()
