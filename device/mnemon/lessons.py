"""Learning as the rest of Mnemon sees it: what was done is recorded, lessons are held, what was learned is used."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from mnemon.feedback import Feedback

if TYPE_CHECKING:
    from mnemon.learning.examples import Examples
    from mnemon.memory.memory import Memory
    from mnemon.memory.records import Message
    from mnemon.profile import Profile
    from mnemon.runtime.holder import ModelHolder
    from mnemon.settings import LearningSettings


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
        self.settings = settings

    @cached_property
    def examples(self) -> Examples:
        """What there is to learn from."""
        from mnemon.learning.examples import Examples

        return Examples(self._memory.store)

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

    def went_on(self, message: Message) -> None:
        """The owner said the next thing; see :meth:`mnemon.feedback.Feedback.went_on`."""
        if self.settings.record:
            self.feedback.went_on(message)
