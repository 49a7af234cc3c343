"""Going back, and taking an example out again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from learning_model import LearningModel, example, filled, learnable, said
from test_learning_lesson import Budget, held, lesson

from mnemon.errors import LearningError, NotFoundError
from mnemon.learning.examples import Examples
from mnemon.learning.journal import replay
from mnemon.learning.spaces.steering_basis import SteeringBasis, Trace
from mnemon.learning.versions import Versions
from mnemon.memory.store import Store

SHORT = Budget(600.0, evaluations=300)


@pytest.fixture
def taught() -> Iterator[tuple[Store, LearningModel, Versions]]:
    """Two versions, the second going on from the first."""
    model = LearningModel()
    with filled(learnable(60)) as store:
        first = held(store, model, SHORT)
        assert first.accepted, first.reason
        journal = Versions(store).book.journal(1)
        again = Versions(store).book.begin(journal.header, continues=1)
        for record in journal.records[:8]:
            again.write(record)
        Versions(store).accept(again.id, {"examples": [int(id) for id in journal.header.examples], "space": "vector"})
        yield store, model, Versions(store)


def test_going_back_is_byte_for_byte_what_it_was(taught: tuple[Store, LearningModel, Versions]) -> None:
    store, model, versions = taught
    now = versions.state(2)[1]
    before = versions.state(1)[1]
    assert now.tobytes() != before.tobytes()
    versions.rollback(1)
    assert [(v.number, v.active) for v in versions.history()] == [(1, True)]
    assert versions.state(1)[1].tobytes() == before.tobytes()
    assert store.tuples("SELECT count(DISTINCT lesson_id) FROM learning_steps") == [(1,)]
    versions.rollback(0)
    assert tuple(versions.active(model.base_sha256()).adapters) == ()
    with pytest.raises(NotFoundError):
        versions.rollback(7)


def test_forgetting_is_a_run_that_never_had_those_steps(taught: tuple[Store, LearningModel, Versions]) -> None:
    store, model, versions = taught
    journals = [versions.book.journal(1), versions.book.journal(2)]
    gone = journals[0].header.examples[journals[0].records[0].examples[0]]
    wanted = replay([journal.without({gone}) for journal in journals])
    Examples(store).remove([gone])
    assert versions.active(model.base_sha256()).version is None  # at once, before anybody has tidied up
    assert versions.settle() == [1, 2]
    assert versions.state(2)[1].tobytes() == wanted.tobytes()
    for lesson_id in (1, 2):
        left = versions.book.journal(lesson_id)
        assert not left.damaged
        assert all(gone not in {left.header.examples[i] for i in r.examples} for r in left.records)
    assert versions.settle() == []
    problem = versions.active(model.base_sha256()).problem
    assert "tested again" in problem


def test_what_still_helps_is_used_again_and_what_does_not_is_let_go(
    taught: tuple[Store, LearningModel, Versions],
) -> None:
    store, model, versions = taught
    versions.rollback(1)
    versions.forget({versions.book.journal(1).header.examples[0]})
    found = lesson(store, model).retest(1)
    assert found.accepted, found.reason
    assert versions.active(model.base_sha256()).version == 1
    versions.forget(set(versions.book.journal(1).header.examples))
    with pytest.raises(Exception, match="to learn from"):
        lesson(store, model).retest(1)
    assert versions.history() == []


def test_a_damaged_journal_is_told_and_the_base_answers(taught: tuple[Store, LearningModel, Versions]) -> None:
    store, model, _ = taught
    store.execute("UPDATE learning_steps SET record = x'0102' WHERE lesson_id = 1 AND number = 2")
    standing = Versions(store).active(model.base_sha256())
    assert (standing.version, tuple(standing.adapters)) == (None, ())
    assert "damaged" in standing.problem
    store.execute("UPDATE learning_lessons SET header = x'00' WHERE id = 1")
    assert "cannot be read" in Versions(store).active(model.base_sha256()).problem
    assert Versions(store).forget({"1"}) is not None  # forgetting does not fail for it


def test_history_tells_what_a_version_was_made_of(taught: tuple[Store, LearningModel, Versions]) -> None:
    first, second = taught[2].history()
    assert first.kinds == {"accepted": first.examples}
    assert first.after < first.before
    assert len(first.curve) > 1
    assert (second.continues, second.active, first.active) == (1, True, False)


def test_forgetting_words_takes_what_was_learned_from_them_along() -> None:
    store = filled([*learnable(60), example(77, said(1, 2, 3))])
    with store:
        store.execute("INSERT INTO learning_sources (example_id, kind, ref) VALUES (61, 'm', 5)")
        store.execute("INSERT INTO conversations (id, created_at, updated_at) VALUES (1, 0, 0)")
        store.execute(
            "INSERT INTO messages (id, conversation_id, role, text, said_at, status)"
            " VALUES (5, 1, 'owner', 'a', 0, 'complete')"
        )
        model = LearningModel()
        held(store, model, SHORT)
        store.execute("DELETE FROM messages WHERE id = 5")
        named = {id for id in Versions(store).book.journal(1).header.examples if id == "61"}
        assert Versions(store).active(model.base_sha256()).version == (None if named else 1)


def test_traces_made_later_leave_a_version_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnemon.learning.traces.MOST", 8)
    model = LearningModel()
    with filled(learnable(60)) as store:
        found = lesson(store, model, "steering basis").run(SHORT)
        assert found.accepted, found.reason
        versions, base = Versions(store), model.base_sha256()
        header = versions.book.journal(1).header
        space = versions.state(1)[0]
        assert isinstance(space, SteeringBasis)
        traces = versions.book.traces(header.examples, base)
        late = next(id for id in header.examples if id not in traces)
        versions.book.keep_trace(late, base, Trace(traces[header.examples[0]].data[::-1].copy(), 3))
        again = versions.state(1)[0]
        assert isinstance(again, SteeringBasis)
        assert again.basis.tobytes() == space.basis.tobytes()


@pytest.mark.parametrize("meanwhile", ["an example is forgotten", "the version before is gone back from"])
def test_what_happened_during_a_lesson_counts(taught: tuple[Store, LearningModel, Versions], meanwhile: str) -> None:
    """As another process does it, which knows nothing of this lesson."""
    store, model, versions = taught
    journal = versions.book.journal(1)
    page = versions.book.begin(journal.header, continues=2)
    page.write(journal.records[0])
    if meanwhile == "an example is forgotten":
        Examples(store).remove([journal.header.examples[journal.records[0].examples[0]]])
    else:
        store.execute("UPDATE learning_versions SET active = (id = 1)")
    standing = versions.active(model.base_sha256()).version
    with pytest.raises(LearningError, match="While the lesson was held"):
        versions.accept(page.id, {})
    assert versions.active(model.base_sha256()).version == standing
    assert len(versions.history()) == 2
