"""One lesson, start to end: what is learned from, in which space, how far, and whether it is kept.

Whatever happens on the way (a stop, a full disk, a loss that is no number), the adapter in use stays: it is replaced
in one transaction at the very end, and nothing is ever set on the model beyond a single measurement.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from mnemon.errors import JournalError, LearningError, MnemonError, TooFewExamplesError
from mnemon.learning import gate
from mnemon.learning.book import Book
from mnemon.learning.course import Course, Rehearsing
from mnemon.learning.examples import Example, Examples
from mnemon.learning.general import general_set
from mnemon.learning.journal import Header
from mnemon.learning.objectives import FromScores, Kind, kind_for, texts
from mnemon.learning.plan import Plan, make_plan
from mnemon.learning.progress import Budget, Clock, Outcome, Progress
from mnemon.learning.proof import Known, judge
from mnemon.learning.spaces.making import NEED_TRACES, again, check, described, make, traced
from mnemon.learning.spaces.space import Shape, Space
from mnemon.learning.traces import learn_traces
from mnemon.learning.versions import Standing, Versions
from mnemon.learning.zeroth_order import CMA_MOST

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mnemon.learning.book import Page
    from mnemon.learning.spaces.space import Theta
    from mnemon.memory.store import Store
    from mnemon.runtime.adapters import Adapter
    from mnemon.runtime.chat_model import ChatModel

__all__ = ["SPACES", "Budget", "Lesson", "Outcome", "Progress"]

SPACES = ("vector", "lora")
"""Tried in every lesson that begins with the base; the better one goes on."""
MOMENTUM = 0.5

_PREPARE_SHARE = 0.3
"""Of what is left of the budget after reading, for the noise floors and first looks of the spaces tried."""
_TEST_TIMES = 3
"""How often the time of reading what is tested on once is kept for the end: the gate, and some weakening before."""
_TRIAL_SHARE = 0.25
_FEWEST_TRIAL_STEPS = 4
_HARM = 0.007
"""The general set may get worse by so much after a lesson; the gate allows one percent."""


class Lesson:
    """Learns once from the examples of a memory.

    Args:
        store: The encrypted file: examples, journal and versions are in it.
        model: The model that learns; measurements give way to a person within one decode.
        spaces: Names of the spaces that are tried; with more than one each gets a little of the budget first.
        objective: Towards what; chosen by the examples when left out.
        embed: Gives texts' meanings (unit vectors), to choose among more examples than a lesson takes.
        seed: Of everything that is drawn, below 2**63; a random one when left out.
        general: Takes the place of the fixed general set, for measuring.
        bank: Adapters to mix, for the space that does.
        cma_most: Numbers up to which CMA-ES does it, for measuring.
        now: A clock in seconds.

    Raises:
        LearningError: There is no space of that name.
    """

    def __init__(
        self,
        store: Store,
        model: ChatModel,
        *,
        spaces: Sequence[str] = SPACES,
        objective: Kind | None = None,
        embed: Callable[[Sequence[str]], NDArray[np.float32]] | None = None,
        seed: int | None = None,
        general: Sequence[Example] | None = None,
        bank: Sequence[Adapter] = (),
        cma_most: int = CMA_MOST,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        for space in spaces:
            check(space)
        self._store, self._model, self._now, self._cma_most = store, model, now, cma_most
        self._spaces, self._kind, self._embed, self._bank = spaces, objective, embed, bank
        self._seed = secrets.randbits(63) if seed is None else seed
        self._general = list(general_set() if general is None else general)
        self._versions = Versions(store, bank=bank)
        self._book: Book = self._versions.book

    def run(
        self,
        budget: Budget,
        *,
        report: Callable[[Progress], None] = lambda progress: None,
        stop: threading.Event | None = None,
    ) -> Outcome:
        """Learn, test, and keep what helps.

        A lesson that a kill cut off goes on where it was. One that is stopped is tested with what it has learned.

        Raises:
            TooFewExamplesError: There is too little to learn from or to test on.
            LossError: The loss is no number.
            LearningError: Another lesson is being held, or the time is too short for a test that proves anything.
            DiskFullError: No space is left for its journal.
            ModelError: The model cannot score.
        """
        clock = Clock(budget, report, stop or threading.Event(), now=self._now)
        with self._alone():
            self._versions.settle()
            clock.tell("reading")
            base = self._model.base_sha256()
            before = self._versions.active(base)
            plan = self._plan(clock, self._cut_off(base, before))
            if clock.stop.is_set():
                return _nothing(clock, "It was stopped before its first step.")
            with self._model.scorer(texts(plan.all)) as scorer:
                objective = FromScores(scorer, plan.all, self._kind or kind_for(plan.learn))
                return self._learn(plan, objective, before, clock)

    def retest(self, version: int) -> Outcome:
        """Find out whether a version that lost examples still helps; if not, it is let go.

        Raises:
            TooFewExamplesError: There is too little left to test on; the version is let go.
            NotFoundError: There is no such version.
        """
        with self._alone():
            space, theta = self._versions.state(version)
            try:
                plan = self._plan()
            except TooFewExamplesError:
                self._versions.settled(version, keep=False, report={})
                raise
            began = time.monotonic()
            with self._model.scorer(texts(plan.all)) as scorer:
                objective = FromScores(scorer, plan.all, self._kind or kind_for(plan.learn))
                verdict = judge(plan, objective, Known.of(plan, objective, ()), space.apply(theta), look=1)
            shown = {"before": verdict.before, "after": verdict.after, "general": verdict.general}
            self._versions.settled(version, keep=verdict.accepted, report=shown)
            kept = version if verdict.accepted else None
            seconds = time.monotonic() - began
            return Outcome(
                verdict.accepted,
                verdict.before,
                verdict.after,
                0,
                seconds,
                space.name,
                0,
                kept,
                verdict.reason,
                verdict.general,
            )

    def _plan(self, clock: Clock | None = None, again: Sequence[Collection[str]] = ()) -> Plan:
        key = self._store.secret("learning split")
        examples = Examples(self._store).all()
        return make_plan(examples, self._general, self._model, key, embed=self._embed, clock=clock, again=again)

    # -- learning ---------------------------------------------------------------------------------------------

    def _learn(self, plan: Plan, objective: FromScores, before: Standing, clock: Clock) -> Outcome:
        shape = Shape.of(self._model)
        began = clock.seconds
        known = Known.of(plan, objective, before.adapters)
        clock.reserve = min(_TEST_TIMES * (clock.seconds - began), clock.budget.seconds / 2)
        rehearsing = Rehearsing(objective, plan.general_numbers[::2])
        clock.evaluations = lambda: rehearsing.evaluations
        pages: list[Page] = []
        try:
            course = self._chosen(plan, shape, before, rehearsing, clock, pages)
            while not clock.over:
                course.advance()
                clock.tell("learning", course)
            course.finish()
            clock.tell("testing", course)
            if not course.page.records:
                return self._no_step(plan, known, course, clock)
            course.weaken(lambda active: known.harm(plan, objective, active), _HARM)
            return self._end(plan, objective, known, course, clock, rehearsing.evaluations)
        except BaseException as error:
            # a kill leaves them 'running', to go on from; anything else is over
            with contextlib.suppress(MnemonError):
                for page in pages:
                    if isinstance(error, Exception):
                        page.tear_out()
            raise

    def _chosen(
        self,
        plan: Plan,
        shape: Shape,
        before: Standing,
        objective: Rehearsing,
        clock: Clock,
        pages: list[Page],
    ) -> Course:
        """The course that goes on: one that was cut off, the version in use, or the best of several spaces."""
        if resumed := self._resumed(plan, shape, before, objective, pages):
            resumed.begin()
            return resumed
        if before.version is not None:
            space, theta = self._versions.state(before.version)
            course = self._course(plan, space, shape, objective, pages, theta, before.version)
            course.begin()
            return course
        courses = []
        start = clock.share
        until = start + _PREPARE_SHARE * (1 - start)
        for space in self._made(plan, shape):
            began = clock.share
            course = self._course(plan, space, shape, objective, pages)
            course.begin(lambda: clock.share > until)
            courses.append(course)
            if clock.over or 2 * clock.share - began > until:  # another one would take as long
                break
        start = clock.share
        for course in courses if len(courses) > 1 else ():
            # of equal length in what is measured, not in steps: a generation of CMA-ES costs more than a step
            share = clock.share + _TRIAL_SHARE * (1 - start) / len(courses)
            while not clock.over and (len(course.page.records) < _FEWEST_TRIAL_STEPS or clock.share < share):
                course.advance()
                clock.tell("choosing", course)
            course.finish()
        best = min(courses, key=lambda course: course.best)
        for course in courses:
            if course is not best:
                course.page.tear_out()
                pages.remove(course.page)
        return best

    def _made(self, plan: Plan, shape: Shape) -> Iterator[Space]:
        """The spaces that this model and these examples allow."""
        ids = [example.id for example in plan.learn]
        problem: LearningError | None = None
        found = 0
        for name in self._spaces:
            traces = {}
            if name in NEED_TRACES:
                learn_traces(self._book, self._model, plan.learn, shape.base)
                traces = self._book.traces(ids, shape.base)
            try:
                space = make(name, shape, list(traces.values()), self._bank)
            except LearningError as error:
                problem = error
                continue
            found += 1
            yield space
        if not found:
            raise problem or LearningError("No space was named.", hint="Name one.")

    def _course(
        self,
        plan: Plan,
        space: Space,
        shape: Shape,
        objective: Rehearsing,
        pages: list[Page],
        start: Theta | None = None,
        continues: int | None = None,
    ) -> Course:
        ids = tuple(example.id for example in plan.learn)
        parameters = described(space, shape)
        if space.name in NEED_TRACES and continues is None:
            parameters["traced"] = list(self._book.traces(ids, shape.base))
        header = Header(shape.base, space.name, space.size, MOMENTUM, ids, parameters)
        page = self._book.begin(header, continues)
        pages.append(page)
        return Course(page, space, objective, len(plan.learn), self._seed, start, self._cma_most)

    def _cut_off(self, base: str, before: Standing) -> list[tuple[str, ...]]:
        """What lessons learned from that were cut off and can be gone on from, the longest first."""
        fitting = [
            page
            for page, continues in self._book.unfinished()
            if page.records and page.header.base == base and continues == before.version
        ]
        return [page.header.examples for page in sorted(fitting, key=lambda page: len(page.records), reverse=True)]

    def _resumed(
        self, plan: Plan, shape: Shape, before: Standing, objective: Rehearsing, pages: list[Page]
    ) -> Course | None:
        """The longest of the lessons that were cut off, if it still fits; the others are torn out."""
        ids = tuple(example.id for example in plan.learn)
        found: Course | None = None
        left = sorted(self._book.unfinished(), key=lambda one: len(one[0].records), reverse=True)
        for page, continues in left:
            fits = page.header.base == shape.base and page.header.examples == ids and continues == before.version
            if found is None and fits and page.records:
                with contextlib.suppress(JournalError):
                    start: Theta | None = None
                    if continues is not None:
                        space, start = self._versions.state(continues)
                    else:
                        traces = self._book.traces(traced(page.header), shape.base)
                        space = again(page.header, list(traces.values()), self._bank)
                    pages.append(page)
                    found = Course(page, space, objective, len(plan.learn), self._seed, start, self._cma_most)
                    continue
            page.tear_out()
        return found

    # -- the end ----------------------------------------------------------------------------------------------

    def _end(
        self,
        plan: Plan,
        objective: FromScores,
        known: Known,
        course: Course,
        clock: Clock,
        evaluations: int,
    ) -> Outcome:
        held_out = [example.id for example in plan.held_out]
        earlier = [report.get("held_out", []) for _, report in self._book.reports() if report.get("judged", True)]
        look = gate.look_number(held_out, earlier)
        verdict = judge(plan, objective, known, course.active, look=look)
        report = {
            "space": course.space.name,
            "before": verdict.before,
            "after": verdict.after,
            "general": verdict.general,
            "chance": verdict.chance,
            "level": verdict.level,
            "reason": verdict.reason,
            "examples": [int(example.id) for example in plan.learn],
            "held_out": held_out,
            "kinds": dict(Counter(example.kind for example in plan.learn)),
            "evaluations": evaluations,
            "seconds": clock.seconds,
            "curve": course.curve,
            "noise": course.noise.floor if course.noise else None,
            "eps": course.noise.eps if course.noise else None,
        }
        version = None
        if verdict.accepted:
            version = self._versions.accept(course.page.id, report)
        else:
            course.page.end("rejected", report)
        return Outcome(
            verdict.accepted,
            verdict.before,
            verdict.after,
            len(course.page.records),
            clock.seconds,
            course.space.name,
            evaluations,
            version,
            verdict.reason,
            verdict.general,
        )

    def _no_step(self, plan: Plan, known: Known, course: Course, clock: Clock) -> Outcome:
        """The end of a lesson that has nothing to test: what is held out is not looked at, and that look not paid."""
        if clock.stop.is_set():
            reason = "It was stopped before a step helped."
        elif course.tried:
            reason = "No step made the answers you want likelier."
        else:
            reason = "The time was too short for a single step: give it more."
        named = {"examples": [int(one.id) for one in plan.learn], "held_out": [one.id for one in plan.held_out]}
        course.page.end("rejected", {**named, "judged": False, "reason": reason, "seconds": clock.seconds})
        return _nothing(clock, reason, course.space.name, known.before.loss)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One lesson at a time, also among processes."""
        from mnemon.memory.locks import sole

        if self._store.path is None:
            yield
            return
        with sole(self._store.path.with_name(self._store.path.name + ".lesson")) as mine:
            if not mine:
                raise LearningError("Another lesson is being held.", hint="Wait until it is over.")
            yield


def _nothing(clock: Clock, reason: str, space: str = "", loss: float = 0.0) -> Outcome:
    """The outcome of a lesson that has nothing to test."""
    return Outcome(False, loss, loss, 0, clock.seconds, space, 0, None, reason)
