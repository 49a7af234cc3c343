"""The model in use: loaded at first need, replaced on request, closed once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from mnemon.errors import ModelError
from mnemon.runtime.chat_model import ChatModel, ModelInfo


class ModelHolder:
    """Holds one chat model for everybody who needs it.

    Args:
        load: Loads a model by its name (a catalog name or a path).
        name: The one to load first.
        loaded: A model somebody else owns: used instead, and not closed here.
    """

    def __init__(self, load: Callable[[str], ChatModel], name: str, loaded: ChatModel | None = None) -> None:
        self._load = load
        self._name = name
        self._model = loaded
        self._owned = loaded is None
        self._closed = False
        self._lock = threading.Lock()
        self._load_ms = 0.0

    @property
    def loaded(self) -> ChatModel | None:
        """The model if it is at hand, without loading it."""
        return self._model

    def get(self) -> ChatModel:
        """The model, loaded now if need be.

        Raises:
            ModelError: It is missing, damaged, or not supported; or this has been closed.
        """
        with self._lock:
            self._refuse_when_closed()
            if self._model is None:
                started = time.perf_counter()
                self._model = self._load(self._name)
                self._load_ms += 1000 * (time.perf_counter() - started)
            return self._model

    def use(self, name: str) -> ModelInfo:
        """Load another model and let go of the old one; if loading fails, the old one stays.

        Raises:
            ModelError: It is missing, damaged, or not supported; or this has been closed.
        """
        new = self._load(name)
        with self._lock:
            if self._closed:
                new.close()
            self._refuse_when_closed()
            old, owned = self._model, self._owned
            self._model, self._owned, self._name = new, True, name
        if old is not None and owned:
            old.close()
        return new.info

    def take_load_ms(self) -> float:
        """Milliseconds spent on loading since this was last asked."""
        with self._lock:
            spent, self._load_ms = self._load_ms, 0.0
        return spent

    def close(self) -> None:
        """Free the model if it is ours; calling it again does nothing."""
        with self._lock:
            if self._model is not None and self._owned:
                self._model.close()
            self._model = None
            self._closed = True

    def _refuse_when_closed(self) -> None:
        """A model that somebody loads while the program ends would never be freed."""
        if self._closed:
            raise ModelError("The model is closed.", hint="Open Mnemon again.")
