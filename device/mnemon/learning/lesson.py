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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mnemon.errors import JournalError, LearningError, MnemonError, TooFewExamplesError
from mnemon.learning import gate
from mnemon.learning.book import Book
from mnemon.learning.course import Course, Rehearsing
from mnemon.learning.examples import Example, Examples
from mnemon.learning.general import general_set
from mnemon.learning.journal import Header
from mnemon.learning.objectives import FromScores, Kind, kind_for, texts
from mnemon.learning.progress import Budget, Clock, Outcome, Progress
from mnemon.learning.selection import MOST, plausible, select
from mnemon.learning.spaces.making import NEED_TRACES, again, described, make
from mnemon.learning.spaces.space import Shape, Space
from mnemon.learning.traces import learn_traces
from mnemon.learning.versions import Standing, Versions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mnemon.learning.book import Page
    from mnemon.learning.spaces.space import Theta
    from mnemon.memory.store import Store
    from mnemon.runtime.adapters import Active
    from mnemon.runtime.chat_model import ChatModel

__all__ = ["SPACES", "Budget", "Lesson", "Outcome", "Progress"]

SPACES = ("vector", "lora")
"""Tried in every lesson that begins with the base; the better one goes on."""
MOMENTUM = 0.5

_TEMPLATE_TOKENS = 16
"""That a chat template puts around a message, at most."""
_TRIAL_SHARE = 0.25
_FEWEST_TRIAL_STEPS = 4
_HARM = 0.007
"""The general set may get worse by so much after a lesson; the gate allows one percent."""


@dataclass(slots=True)
class _Plan:
    """The examples of a lesson, in the order of the objective's numbers: learn, held out, general."""

    learn: list[Example]
    held_out: list[Example]
    general: list[Example]

    @property
    def all(self) -> list[Example]:
        return [*self.learn, *self.held_out, *self.general]

    @property
    def held_out_numbers(self) -> range:
        return range(len(self.learn), len(self.learn) + len(self.held_out))

    @property
    def general_numbers(self) -> range:
        first = len(self.learn) + len(self.held_out)
        return range(first, first + len(self.general))


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
    ) -> None:
        self._store, self._model = store, model
        self._spaces, self._kind, self._embed = spaces, objective, embed
        self._seed = secrets.randbits(63) if seed is None else seed
        self._general = list(general_set() if general is None else general)
        self._versions = Versions(store)
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
            LearningError: Another lesson is being held.
            DiskFullError: No space is left for its journal.
            ModelError: The model cannot score.
        """
        clock = Clock(budget, report, stop or threading.Event())
        with self._alone():
            self._versions.settle()
            clock.tell("reading")
            plan = self._plan()
            with self._model.scorer(texts(plan.all)) as scorer:
                objective = FromScores(scorer, plan.all, self._kind or kind_for(plan.learn))
                return self._learn(plan, objective, clock)

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
                verdict = self._judge(plan, objective, (), space.apply(theta), look=1)
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

    # -- what is learned from ---------------------------------------------------------------------------------

    def _plan(self) -> _Plan:
        examples = [example for example in Examples(self._store).all() if self._fits(example)]
        learn, held_out = gate.split(examples, self._store.secret("learning split"))
        conversations = len({examples[i].conversation for i in held_out})
        if len(learn) < gate.FEWEST_TO_LEARN or conversations < gate.FEWEST_CONVERSATIONS:
            raise TooFewExamplesError(
                f"There are {len(learn)} examples to learn from and {conversations} conversations to test on;"
                f" {gate.FEWEST_TO_LEARN} and {gate.FEWEST_CONVERSATIONS} are needed.",
                hint="Edit answers, pick one of two, or give thumbs for a while, in several conversations.",
            )
        learn, held_out = self._sound(examples, learn), held_out[-MOST:]
        if len(learn) > MOST:
            chosen = select([examples[i] for i in learn], self._embed) if self._embed else range(-MOST, 0)
            learn = [learn[i] for i in chosen]
        return _Plan([examples[i] for i in learn], [examples[i] for i in held_out], self._general)

    def _fits(self, example: Example) -> bool:
        """Whether the model can read it in one piece; what it was told in a larger window it may not."""
        count = self._model.count_tokens
        answer = max(count(example.chosen), count(example.rejected or ""))
        prompt = sum(count(message.content) + _TEMPLATE_TOKENS for message in example.prompt)
        return prompt + answer + _TEMPLATE_TOKENS <= self._model.info.context_tokens

    def _sound(self, examples: Sequence[Example], places: list[int]) -> list[int]:
        """Without what is no language to the base: a slip of the paste key teaches nothing."""
        some = [examples[i] for i in places]
        with self._model.scorer([(example.prompt, example.chosen) for example in some]) as scorer:
            scores = scorer.scores(())
        losses = [-float(found.mean()) if len(found) else 0.0 for found in scores]
        return [places[i] for i in plausible(some, losses)]

    # -- learning ---------------------------------------------------------------------------------------------

    def _learn(self, plan: _Plan, objective: FromScores, clock: Clock) -> Outcome:
        shape = Shape.of(self._model)
        before = self._versions.active(shape.base)
        began = time.monotonic()
        objective.measure((), [*plan.held_out_numbers, *plan.general_numbers])  # how long the gate will take
        clock.reserve = min(4 * (time.monotonic() - began), clock.budget.seconds / 2)
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
            course.weaken(lambda active: _harm(objective, active, plan.general_numbers), _HARM)
            return self._end(plan, objective, before, course, clock, rehearsing.evaluations)
        except BaseException as error:
            # a kill leaves them 'running', to go on from; anything else is over
            with contextlib.suppress(MnemonError):
                for page in pages:
                    if isinstance(error, Exception):
                        page.tear_out()
            raise

    def _chosen(
        self,
        plan: _Plan,
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
        for space in self._made(plan, shape):
            course = self._course(plan, space, shape, objective, pages)
            course.begin()
            courses.append(course)
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

    def _made(self, plan: _Plan, shape: Shape) -> Iterator[Space]:
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
                space = make(name, shape, list(traces.values()))
            except LearningError as error:
                problem = error
                continue
            found += 1
            yield space
        if not found:
            raise problem or LearningError("No space was named.", hint="Name one.")

    def _course(
        self,
        plan: _Plan,
        space: Space,
        shape: Shape,
        objective: Rehearsing,
        pages: list[Page],
        start: Theta | None = None,
        continues: int | None = None,
    ) -> Course:
        ids = tuple(example.id for example in plan.learn)
        header = Header(shape.base, space.name, space.size, MOMENTUM, ids, described(space, shape))
        page = self._book.begin(header, continues)
        pages.append(page)
        return Course(page, space, objective, len(plan.learn), self._seed, start)

    def _resumed(
        self, plan: _Plan, shape: Shape, before: Standing, objective: Rehearsing, pages: list[Page]
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
                        traces = self._book.traces(ids, shape.base)
                        space = again(page.header, list(traces.values()))
                    pages.append(page)
                    found = Course(page, space, objective, len(plan.learn), self._seed, start)
                    continue
            page.tear_out()
        return found

    # -- the end ----------------------------------------------------------------------------------------------

    def _end(
        self,
        plan: _Plan,
        objective: FromScores,
        before: Standing,
        course: Course,
        clock: Clock,
        evaluations: int,
    ) -> Outcome:
        held_out = [example.id for example in plan.held_out]
        earlier = [report.get("held_out", []) for _, report in self._book.reports()]
        look = gate.look_number(held_out, earlier)
        verdict = self._judge(plan, objective, before.adapters, course.active, look=look)
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

    def _judge(self, plan: _Plan, objective: FromScores, before: Active, after: Active, *, look: int) -> gate.Verdict:
        general = plan.general_numbers[1::2] or plan.general_numbers  # the half that was not rehearsed
        return gate.judge(
            [example.conversation for example in plan.held_out],
            objective.measure(before, plan.held_out_numbers),
            objective.measure(after, plan.held_out_numbers),
            general=_harm(objective, after, general),
            look=look,
        )

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


def _harm(objective: FromScores, active: Active, general: Sequence[int]) -> float:
    """By which share of itself the loss of general examples grows over the base's."""
    base = objective.measure((), general).loss
    return objective.measure(active, general).loss / base - 1 if base else 0.0
