"""`mnemon eval learning`: what is counted, and that a model which nothing changes gains nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from click.testing import CliRunner
from learning_model import LearningModel, learnable

from mnemon.commands.main import cli
from mnemon.errors import LearningError
from mnemon.evaluation import learning, owners
from mnemon.evaluation.learning import Row
from mnemon.runtime.scripted import ScriptedModel

ROW = Row("terse", "vector", "MeZO", 2240, True, 6.0, 4.5, 0.004, 100, 120.0, 4.4, (6.0, 5.0, 4.0), "It helps.")


def test_a_model_that_nothing_changes_learns_nothing() -> None:
    kept: list[Row] = []
    shares: list[float] = []
    rows = learning.run(
        ScriptedModel(),
        names=["terse"],
        spaces=["vector"],
        evaluations=4,
        examples=60,
        report=lambda _owner, _space, share: shares.append(share),
        keep=kept.append,
    )
    assert rows == kept
    assert (rows[0].owner, rows[0].space, rows[0].optimiser) == ("terse", "vector", "CMA-ES")
    assert not rows[0].accepted
    assert rows[0].gain == rows[0].general == 0
    assert shares[-1] == 1.0


def test_either_optimiser_can_be_told_to_do_it() -> None:
    how = {"names": ["terse"], "spaces": ["vector"], "evaluations": 4, "examples": 60}
    assert learning.run(ScriptedModel(), cma_most=0, **how)[0].optimiser == "MeZO"  # type: ignore[arg-type]


def test_what_is_mixed_was_learned_from_the_other_owners_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    built, shares, general = list[str](), list[float](), owners.general()

    def build(name: str, *_: object, **__: object) -> owners.Owner:
        built.append(name)
        made = learnable(80, 3 if name in ("terse", "warm") else 10 + owners.NAMES.index(name))
        return owners.Owner(name, made[:60], made[60:], general)

    monkeypatch.setattr(owners, "build", build)
    (row,) = learning.run(
        LearningModel(),  # type: ignore[arg-type]
        names=["terse"],
        spaces=["adapter scales"],
        evaluations=60,
        report=lambda _owner, _space, share: shares.append(share),
    )
    assert built == ["terse", *(name for name in owners.NAMES if name != "terse")]
    assert (row.space, row.optimiser, row.accepted) == ("adapter scales", "CMA-ES", True), row.reason
    assert 2 <= row.size < len(owners.NAMES)
    assert row.improvement > 0.05  # the taste of "terse" is that of "warm"
    assert shares == sorted(shares)


def test_the_figures_of_a_lesson() -> None:
    figures = ROW.as_dict()
    assert (figures["improvement"], figures["gain_per_evaluation"], figures["gain_per_minute"]) == (0.25, 0.015, 0.75)


def test_the_table_names_the_best_space_of_each_owner() -> None:
    text = learning.tables([ROW, replace(ROW, space="lora", after=4.0), replace(ROW, owner="warm", accepted=False)])
    assert "| terse, vector | MeZO | 2,240 | 6.000 | 4.500 | 25.0% | +0.40% | 100 in 2.0 min |" in text
    assert "min | 0.750 | 15.000 | yes |" in text
    assert "| terse | lora | 33.3% | +0.40% |" in text
    assert "| warm | vector | 25.0% | +0.40% |" in text


@pytest.mark.parametrize("rows", [[ROW], [replace(ROW, curve=())]])
def test_the_chart_is_drawn_also_when_nothing_was_learned(rows: list[Row]) -> None:
    assert learning.chart(rows).startswith("<svg")


def test_an_unknown_space_is_refused_before_anything_is_read() -> None:
    model = LearningModel()
    with pytest.raises(LearningError, match="no space 'nonsense'"):
        learning.run(model, spaces=["vector", "nonsense"])  # type: ignore[arg-type]
    assert not model.evaluations


def test_an_unknown_owner_is_refused_before_a_model_is_loaded() -> None:
    done = CliRunner().invoke(cli, ["eval", "learning", "--owner", "pirate"])
    assert done.exit_code == 2
    assert "no simulated owner 'pirate'" in done.output
