"""What a draft's own uncertainty says, measured on the built-in model's failures: ``python -m train_router.drafts``.

Questions whose answer can be checked (the cases of ``mnemon eval built-in``) are put to the model; whether it was
wrong is regressed on the mean and the least log-probability of its tokens and on whether it said that it does not
know. The share of wrong answers among these cases is taken off, so that only what the draft tells is added.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from mnemon import paths
from mnemon.answering.gate import says_unknown
from mnemon.evaluation import built_in, built_in_cases
from mnemon.evaluation.judging import Answer, Judge
from mnemon.evaluation.routing import auc
from mnemon.routing.signals import DraftSignals
from mnemon.runtime import catalog
from mnemon.settings import ModelSettings

WEIGHTS = (-1.09, -1.01, -2.29, 2.6)
"""Constant, and weights of the mean and the least log-probability and of having said nothing.

Measured on 195 drafts of the built-in model, 36 of them wrong (AUC 0.81), but for the last: no case here ends in
nothing said, and 2.6 makes that count 1.5."""
TASKS = ("recall", "update", "dated", "in_conversation", "smalltalk", "meta")
OF_EACH_TASK = 45
_RIDGE = 0.5


def main() -> None:
    """Ask, fit, print."""
    spec = catalog.resolve(catalog.BUILT_IN, paths.home())
    cases = built_in_cases.read_cases(None).cases
    taken = Counter[str]()
    rows, wrong = [], []
    with built_in.opened(spec, ModelSettings(threads=1)) as model:
        judge = Judge(cases)
        for case in cases:
            if case.task not in TASKS or taken[case.task] >= OF_EACH_TASK:
                continue
            taken[case.task] += 1
            asked = built_in.request(case, model.info)
            generation = model.generate(asked.messages, max_tokens=asked.max_tokens, sampling=built_in.GREEDY)
            pieces = list(generation)
            text = "".join(piece.text for piece in pieces).strip()
            drafted = DraftSignals.of(
                [one for piece in pieces for one in piece.logprobs], refused=not text or says_unknown(text)
            )
            rows.append([1.0, drafted.mean_logprob, drafted.min_logprob, float(drafted.refused)])
            wrong.append(not judge.judge(case, Answer(text, generation.report.stop_reason)).right)
    features, target = np.array(rows), np.array(wrong, float)
    weights = regressed(features, target)
    weights[0] -= math.log(target.mean() / (1 - target.mean()))
    figure = auc((features @ weights).tolist(), wrong)
    print(f"{len(wrong)} drafts, {sum(wrong)} wrong, AUC {figure:.3f}; weights {np.round(weights, 3).tolist()}")


def regressed(features: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logistic regression by Newton's method; all but the constant are drawn towards 0."""
    weights = np.zeros(features.shape[1])
    ridge = np.diag([1e-6] + [_RIDGE] * (len(weights) - 1))
    for _ in range(50):
        share = 1 / (1 + np.exp(-features @ weights))
        curvature = (features * (share * (1 - share))[:, None]).T @ features + ridge
        weights += np.linalg.solve(curvature, features.T @ (target - share) - ridge @ weights)
    return weights


if __name__ == "__main__":
    main()
