"""Choosing weights: what made the evidence likely is found again, and a part left out has none."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemon.evaluation.leave_one_out import _Weighed, fit
from mnemon.memory.ranking import FEATURES


@settings(max_examples=15)
@given(st.integers(0, 10_000))
def test_the_parts_that_decide_get_the_weight(seed: int) -> None:
    chance = np.random.default_rng(seed)
    deciding = int(chance.integers(len(FEATURES)))
    questions = []
    for _ in range(60):
        features = chance.normal(size=(30, len(FEATURES))).astype(np.float32)
        best = int(np.argmax(3 * features[:, deciding] + chance.gumbel(size=30)))
        questions.append(_Weighed([str(i) for i in range(30)], features, frozenset({str(best)}), "1"))
    weights = fit(questions)
    values = {name: getattr(weights, name) for name in FEATURES}
    assert max(values, key=lambda name: abs(values[name])) == FEATURES[deciding]
    assert values[FEATURES[deciding]] > 1.5
    assert getattr(fit(questions, without=[FEATURES[deciding]]), FEATURES[deciding]) == 0
