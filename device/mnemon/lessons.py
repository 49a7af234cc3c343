"""Learning as the rest of Mnemon sees it: what was done is recorded, lessons are held, what was learned is used."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from mnemon.chapters import KINDS, Chapter, chapter_of
from mnemon.errors import InputError, LearningError, MnemonError
from mnemon.feedback import Feedback
from mnemon.learning import idle
from mnemon.learning.idle import Moment
from mnemon.manner import describe
from mnemon.memory.records import from_ms

if TYPE_CHECKING:
    from mnemon.learning.examples import Examples
    from mnemon.learning.lesson import Outcome, Progress
    from mnemon.learning.versions import Versions
    from mnemon.memory.memory import Memory
    from mnemon.memory.records import Message
    from mnemon.profile import Profile
    from mnemon.runtime.adapters import Active
    from mnemon.runtime.chat_model import ChatModel
    from mnemon.runtime.holder import ModelHolder
    from mnemon.settings import LearningSettings


@dataclass(frozen=True, slots=True)
class Standing:
    """Where learning stands.

    Attributes:
        examples: How many there are, by kind.
        new: How many of them no lesson has seen.
        shown: What they show of the owner's manner, each in a few words.
        verdict: Whether a lesson may begin by itself now, and why not.
    """

    examples: dict[str, int]
    new: int
    shown: tuple[str, ...]
    verdict: idle.Verdict

    @property
    def recorded(self) -> str:
        """In words: ``12 examples (9 written anew, 3 praised), 4 of them new. They show: shorter answers.``"""
        count = sum(self.examples.values())
        if not count:
            return "There are no examples yet."
        kinds = ", ".join(f"{number} {KINDS[kind]}" for kind, number in self.examples.items())
        shown = f" They show: {'; '.join(self.shown)}." if self.shown else ""
        return f"{count} example{'s'[: count != 1]} ({kinds}), {self.new} of them new.{shown}"


@dataclass(frozen=True, slots=True)
class Compared:
    """One question answered twice: with what was learned, and as the model came."""

    version: int
    learned: str
    base: str


class Lessons:
    """What one owner's Mnemon learns.

    Args:
        memory: The owner's; examples, journals and versions are kept in its encrypted file.
        profile: Stands in the prompts of larger models.
        models: Holds the model that learns.
        settings: When it may, and whether.
    """

    def __init__(self, memory: Memory, profile: Profile, models: ModelHolder, settings: LearningSettings) -> None:
        self._memory = memory
        self._profile = profile
        self._models = models
        self._aside = False
        self._retest: threading.Thread | None = None
        self.settings = settings

    @cached_property
    def examples(self) -> Examples:
        """What there is to learn from."""
        from mnemon.learning.examples import Examples

        return Examples(self._memory.store)

    @cached_property
    def versions(self) -> Versions:
        """What was learned."""
        from mnemon.learning.versions import Versions

        return Versions(self._memory.store, self._memory.now)

    @cached_property
    def feedback(self) -> Feedback:
        """Records what the owner does with answers."""
        return Feedback(
            self._memory,
            self._profile,
            self.examples,
            lambda: self._models.get().info,
            wanted=self.settings.record,
        )

    # -- in a turn -------------------------------------------------------------------------------------------------

    def adapters(self, model: ChatModel) -> Active:
        """What answers of ``model`` are made with: the version in use, if it is one for this model."""
        if self._aside or not self.settings.use or not self.versions.active("").problem:
            return ()  # the last: there is no version at all, so the model's file need not be read for its hash
        return self.versions.active(model.base_sha256()).adapters

    def manner(self) -> str:
        """How the owner likes to be answered, as note lines for a larger model's prompt; empty when unknown."""
        return self.feedback.manner() if self.settings.use and not self._aside else ""

    def went_on(self, message: Message) -> None:
        """The owner said the next thing; see :meth:`mnemon.feedback.Feedback.went_on`."""
        if self.settings.record:
            self.feedback.went_on(message)

    # -- lessons ---------------------------------------------------------------------------------------------------

    def hold(
        self,
        seconds: float,
        *,
        evaluations: int | None = None,
        space: str | None = None,
        report: Callable[[Progress], None] = lambda _progress: None,
        stop: threading.Event | None = None,
    ) -> Outcome:
        """Hold a lesson; what it learns is used from then on if the gate lets it through.

        Args:
            seconds: How long it may take, the test at its end included.
            evaluations: Measurements at most.
            space: What is tuned; chosen by trying when left out.
            report: Told how far it is, from this thread.
            stop: Ends it after the step under way; what it learned so far is tested.

        Raises:
            LearningError: There is too little to learn from, another one is being held, or its loss is no number.
            DiskFullError: No space is left for its journal.
            ModelError: The model cannot be loaded, or cannot score.
        """
        from mnemon.learning.lesson import SPACES, Budget, Lesson

        lesson = Lesson(
            self._memory.store,
            self._models.get(),
            spaces=(space,) if space else SPACES,
            embed=self._memory.embedder.embed,
        )
        return lesson.run(Budget(seconds, evaluations), report=report, stop=stop)

    def standing(self, quiet: timedelta) -> Standing:
        """Where learning stands, for an app that nobody has used for ``quiet``.

        Raises:
            SettingsError: ``learning.hours`` cannot be understood.
        """
        examples = self.examples.all()
        seen = {str(id) for _, report in self.versions.book.reports() for id in _named(report)}
        new = sum(example.id not in seen for example in examples)
        rows = self._memory.store.tuples("SELECT max(began_at) FROM learning_lessons")
        now = self._memory.now()
        since = now - from_ms(rows[0][0]) if rows[0][0] is not None else None
        moment = Moment(now.astimezone(), quiet, new, since)
        verdict = idle.may_begin(self.settings, idle.look(), moment)
        if new >= self.settings.new_examples and (too_few := self._too_few()):
            verdict = idle.Verdict((too_few, *verdict.against), verdict.unknown)
        kinds = Counter(example.kind for example in examples)
        return Standing(dict(kinds.most_common()), new, tuple(describe(examples)), verdict)

    def _too_few(self) -> str:
        """Why there could be no proof yet, or nothing."""
        from mnemon.learning import gate

        examples = self.examples.all()
        learn, held_out = gate.split(examples, self._memory.store.secret("learning split"))
        talks = len({examples[i].conversation for i in held_out})
        if len(learn) >= gate.FEWEST_TO_LEARN and talks >= gate.FEWEST_CONVERSATIONS:
            return ""
        return (
            f"{len(learn)} example{'s'[: len(learn) != 1]} to learn from"
            f" and {talks} conversation{'s'[: talks != 1]} to test on,"
            f" {gate.FEWEST_TO_LEARN} and {gate.FEWEST_CONVERSATIONS} are needed"
        )

    # -- what was learned ------------------------------------------------------------------------------------------

    def chapters(self) -> list[Chapter]:
        """The model as it came and every version since, the oldest first.

        Whether the one in use fits the model is seen where one is loaded.
        """
        versions, problem = self.versions.history(), ""
        learned = any(version.active for version in versions)
        if learned:  # otherwise a model's file of some gigabytes need not be read for its hash
            model = self._models.loaded
            problem = self.versions.active(model.base_sha256() if model is not None else None).problem
        base = Chapter(0, None, not learned, "Nothing learned is in it.")
        return [base, *(chapter_of(version, problem if version.active else "") for version in versions)]

    def in_use(self) -> Chapter:
        """The one answers are made with, or would be but for its ``problem``.

        Where something was learned the model is loaded, as only its file tells whether that fits.
        """
        if self.versions.active(None).version is not None:
            with contextlib.suppress(MnemonError):  # then nothing answers at all, and turns say so
                self._models.get()
        return next(chapter for chapter in self.chapters() if chapter.in_use)

    def export(self, version: int) -> bytes:
        """A version as a GGUF file of llama.cpp's own: a control vector, or a LoRA.

        Raises:
            NotFoundError: There is no such version.
            LearningError: It was learned on another model, its journal is damaged, or it is no single adapter.
            AdapterError: It is a soft prompt, for which there is no file format.
            ModelError: The model cannot be loaded.
        """
        from mnemon.runtime.adapter_file import to_bytes

        model = self._models.get()
        base = model.base_sha256()
        return to_bytes(self.versions.export(version, base), model.info.architecture, base)

    def rollback(self, to: int) -> None:
        """Answer with version ``to`` from now on (0: as the model came); those after it are let go.

        Raises:
            NotFoundError: There is no such version.
        """
        self.versions.rollback(to)

    def forget(self, examples: Collection[str]) -> int:
        """Forget examples and the steps that rest on them; versions that lose something are tested again.

        Returns:
            How many there were.

        Raises:
            InputError: One of them is not the id of an example.
        """
        known = {example.id for example in self.examples.all()}
        if unknown := sorted(set(examples) - known):
            raise InputError(f"There is no example {unknown[0]}.", hint="`mnemon learn examples` shows the ids.")
        self.versions.forget(examples)
        self._test_again()
        return len(set(examples))

    def after_forgetting(self) -> None:
        """Take out the steps that rest on examples which are gone; a version that lost some is tested again.

        That takes a while and needs the model: it is done in a thread of its own, and later where none is loaded.
        """
        self.versions.settle()
        if self._models.loaded is not None and not (self._retest and self._retest.is_alive()):
            self._retest = threading.Thread(target=self._test_again, name="mnemon-retest", daemon=True)
            self._retest.start()

    def compare(self, ask: Callable[[], str]) -> Compared:
        """Have the same thing answered with what was learned and without.

        Args:
            ask: Takes a turn of which nothing is kept, and gives its words.

        Raises:
            LearningError: Nothing that was learned is in use.
        """
        standing = self.versions.active(self._models.get().base_sha256())
        if standing.version is None:
            reason = standing.problem or "Nothing was learned yet."
            raise LearningError(reason, hint="`mnemon learn status` says more.")
        learned = ask()
        with self._without():
            return Compared(standing.version, learned, ask())

    def close(self) -> None:
        """Wait for a test under way; with the model closed it ends at once."""
        if self._retest is not None:
            self._retest.join()

    @contextlib.contextmanager
    def _without(self) -> Iterator[None]:
        self._aside = True
        try:
            yield
        finally:
            self._aside = False

    def _test_again(self) -> None:
        from mnemon.learning.lesson import Lesson

        stale = next((version for version in self.versions.history() if version.active and version.stale), None)
        if stale is not None:
            with contextlib.suppress(MnemonError):  # it stays out of use until it is tested
                Lesson(self._memory.store, self._models.get()).retest(stale.number)


def _named(report: dict[str, object]) -> Iterator[object]:
    for key in ("examples", "held_out"):
        found = report.get(key)
        yield from found if isinstance(found, list) else ()
