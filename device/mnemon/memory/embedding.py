"""Sentences as vectors: all-MiniLM-L6-v2, eight-bit, run by onnxruntime on the processor.

The exported network does the mean pooling and the normalisation itself (``scripts/export_embedder.py``).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnemon.errors import ModelCorruptError, ModelMissingError

if TYPE_CHECKING:
    import numpy as np

DIMENSIONS = 384
MAX_TOKENS = 256
"""What the model was trained with; the rest of a longer text is found by its words only."""
_BATCH_TOKENS = 4096  # 16 texts of full length: some 60 MB of activations, and no faster beyond


class Embedder:
    """Turns texts into normalised vectors of 384 numbers, so that a dot product is a cosine.

    Loads at first use (0.2 s); any thread may call it.

    Args:
        folder: Holds ``model.onnx`` and ``tokenizer.json``; the one that comes with Mnemon by default.
        threads: So many batches of many texts at once. One text has one thread, which is as fast as two that do
            not spin (1.9 and 2.0 ms for 18 tokens), and leaves the rest of the machine to whoever has work for it.
    """

    def __init__(self, folder: Path | None = None, *, threads: int = 2) -> None:
        self._folder = folder
        self._threads = threads
        self._lock = threading.Lock()
        self._session: Any = None
        self._last: tuple[str, np.ndarray] | None = None
        self._tokenizer: Any = None

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """One row of 384 float32 numbers for each text, of length 1; an empty text gives zeros.

        Raises:
            ModelMissingError: The embedder's files are not there.
            ModelCorruptError: They cannot be read.
        """
        import numpy as np

        self._load()
        vectors = np.zeros((len(texts), DIMENSIONS), np.float32)
        filled = [i for i, text in enumerate(texts) if text.strip()]
        if len(filled) == 1:  # not worth waking the tokenizer's threads: 0.03 ms instead of 0.1
            encoded = [self._tokenizer.encode(texts[filled[0]])]
        else:
            encoded = self._tokenizer.encode_batch([texts[i] for i in filled])
        # Like lengths together: a batch is padded to its longest text.
        order = sorted(range(len(filled)), key=lambda i: len(encoded[i].ids))
        batches, start = [], 0
        while start < len(order):
            end = start + 1
            while end < len(order) and len(encoded[order[end]].ids) * (end + 1 - start) <= _BATCH_TOKENS:
                end += 1
            batches.append(order[start:end])
            start = end

        def fill(batch: list[int]) -> None:
            vectors[[filled[i] for i in batch]] = self._run([encoded[i].ids for i in batch])

        if len(batches) < 2:
            for batch in batches:
                fill(batch)
        else:
            with ThreadPoolExecutor(self._threads, thread_name_prefix="mnemon-embedding") as threads:
                list(threads.map(fill, batches))
        return vectors

    def embed_one(self, text: str) -> np.ndarray:
        """The vector of one text; see :meth:`embed`. Asked for the same text again, it gives the last one again."""
        last = self._last
        if last is None or last[0] != text:
            self._last = last = text, self.embed([text])[0]
        return last[1]

    def _run(self, ids: list[list[int]]) -> np.ndarray:
        import numpy as np

        width = max(len(row) for row in ids)
        tokens = np.zeros((len(ids), width), np.int64)
        mask = np.zeros((len(ids), width), np.int64)
        for i, row in enumerate(ids):
            tokens[i, : len(row)] = row
            mask[i, : len(row)] = 1
        return np.asarray(self._session.run(None, {"input_ids": tokens, "attention_mask": mask})[0], np.float32)

    def _load(self) -> None:
        with self._lock:
            if self._session is not None:
                return
            folder = self._folder or _built_in()
            model, words = folder / "model.onnx", folder / "tokenizer.json"
            for file in (model, words):
                if not file.is_file():
                    raise ModelMissingError(f"The embedder's {file} is not there.", hint="Reinstall Mnemon.")
            onnxruntime = _onnxruntime()
            from tokenizers import Tokenizer

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            options.inter_op_num_threads = 1
            options.log_severity_level = 3
            try:
                self._tokenizer = Tokenizer.from_file(str(words))
                session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
            except Exception as error:
                raise ModelCorruptError(
                    f"The embedder in {folder} cannot be read.", hint="Reinstall Mnemon."
                ) from error
            self._tokenizer.no_padding()
            self._tokenizer.enable_truncation(MAX_TOKENS)
            self._session = session


def _onnxruntime() -> Any:
    """The library, told first that it is to note and send nothing.

    Its packages report sessions to their maker by default; those of 1.31 also on Linux and macOS, where a file in the
    home folder gives the device an id and another keeps what is to be sent. It reads the environment once, when it is
    loaded; the name it looks for has changed.
    """
    os.environ.update(ORT_DISABLE_TELEMETRY="1", ORT_TELEMETRY_DISABLED="1")
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # Windows does not read the environment
    return onnxruntime


def _built_in() -> Path:
    import mnemon_models

    return mnemon_models.embedder()
