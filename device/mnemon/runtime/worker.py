"""The local model: answers token by token, and conversations that keep their cache.

Callers lay out and tokenise in their own thread, the owner thread only decodes and samples, and whoever iterates
turns tokens into text.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from mnemon.errors import InputError, ModelError, ModelMissingError
from mnemon.runtime import gguf_file
from mnemon.runtime.adapters import Activation, Active, Loras
from mnemon.runtime.chat_model import (
    ChatMessage,
    GenerationReport,
    ModelInfo,
    Priority,
    Sampling,
    StopReason,
    TokenScores,
)
from mnemon.runtime.engine import CacheFull, DecodeAborted
from mnemon.runtime.filling import Filling
from mnemon.runtime.generation import LocalGeneration
from mnemon.runtime.kept_prompts import KeptPrompts, lent_sequences
from mnemon.runtime.layout import Layout, Plan
from mnemon.runtime.lookup import Drafter, Pace
from mnemon.runtime.owner import Owner, Steps
from mnemon.runtime.sampling import RepetitionGuard, Sampler, ThoughtFilter
from mnemon.runtime.sequences import Conversation, Sequences
from mnemon.runtime.sessions import SessionFiles
from mnemon.runtime.spill import Spill

if TYPE_CHECKING:
    from mnemon.runtime.catalog import ModelSpec
    from mnemon.runtime.engine import Engine
    from mnemon.runtime.scoring import Scorer
    from mnemon.settings import ModelSettings

_SEQUENCES = 6
_SPARE_CELLS = 1024
"""Cells beyond one window, so that background work does not push a conversation out."""
_FLUSH = 0.01
"""Seconds of tokens handed over together: waking a reader for each of 1,800 tokens a second slows the decode."""


class LocalModel:
    """A GGUF chat model; satisfies :class:`~mnemon.runtime.chat_model.ChatModel`. A context manager.

    Use :meth:`load`. Session names that begin with ``~`` are kept in memory only and never reach the disk.
    """

    def __init__(
        self,
        engine: Engine,
        layout: Layout,
        info: ModelInfo,
        *,
        files: SessionFiles | None = None,
        spill: Path | None = None,
    ) -> None:
        self.model = engine.model
        self._engine = engine
        self._layout = layout
        self._info = info
        self._sequences = Sequences(engine, files, count=_SEQUENCES)
        self._loras = Loras(engine.model)
        self._activation = Activation(engine, self._loras)
        self._owner = Owner(engine, self._sequences, between=self._activation.off)
        self._filling = Filling(engine, self._sequences, self._owner, self._activation)
        lent = range(_SEQUENCES, _SEQUENCES + lent_sequences(self.model.size))
        self._pace = Pace()
        self._prompts = KeptPrompts(engine, self._sequences, self._owner, self._activation, lent, Spill(spill))

    @classmethod
    def load(
        cls,
        spec: ModelSpec,
        settings: ModelSettings,
        *,
        session_dir: Path | None = None,
        session_key: bytes | None = None,
    ) -> LocalModel:
        """Load a model's file and start its owner thread.

        Args:
            spec: Which model.
            settings: Threads, window, and whether ChatML may replace a template that does not work.
            session_dir: Where caches of paused conversations are kept; None keeps them in memory only.
            session_key: 32 bytes they are encrypted with; without it nothing is written.

        Raises:
            ModelMissingError: The file is not there.
            ModelCorruptError: It is not a whole GGUF file.
            ModelUnsupportedError: llama.cpp cannot run it.
            TemplateError: Its chat template cannot be used.
            ModelError: Not enough memory.
        """
        from mnemon.runtime import templates
        from mnemon.runtime.engine import Engine
        from mnemon.runtime.vocabulary import Model

        if spec.path is None:
            raise ModelMissingError(
                f"The model {spec.name} has not been pulled.", hint=f"Run `mnemon models pull {spec.name}`."
            )
        with contextlib.ExitStack() as opened:
            model = opened.enter_context(Model(spec.path))
            template, notes = templates.load(model, chatml_fallback=settings.chatml_fallback)
            window = settings.context or spec.context or model.trained_context
            if window > model.trained_context:
                notes += (f"It was trained on {model.trained_context} tokens; a longer window makes it worse.",)
            engine = opened.enter_context(
                Engine(
                    model,
                    cells=window + min(window // 2, _SPARE_CELLS),
                    sequences=_SEQUENCES + lent_sequences(model.size),
                    threads=settings.threads,
                )
            )
            sampling = spec.sampling
            if settings.temperature >= 0:
                sampling = replace(sampling, temperature=settings.temperature)
            info = ModelInfo(
                name=spec.name,
                path=str(spec.path),
                architecture=model.architecture,
                parameters=model.parameters,
                file_bytes=spec.path.stat().st_size,
                context_tokens=window,
                memory_placement=spec.memory_placement,
                memory_limit=spec.memory_limit,
                sampling=sampling,
                notes=notes,
            )
            files = None
            if session_dir is not None and session_key is not None:
                files = SessionFiles(session_dir, session_key, _identity(spec.path, engine.cells))
            local = cls(engine, Layout(model, template, window), info, files=files, spill=session_dir)
            opened.pop_all()
        return local

    @property
    def info(self) -> ModelInfo:
        """What is known about it."""
        return self._info

    def generate(
        self,
        messages: Sequence[ChatMessage],
        *,
        max_tokens: int = 512,
        sampling: Sampling | None = None,
        grammar: str | None = None,
        session: str | None = None,
        priority: Priority = Priority.PERSON,
        adapters: Active = (),
    ) -> LocalGeneration:
        """Start an answer to ``messages`` and return at once (see :class:`~mnemon.runtime.chat_model.ChatModel`).

        Iterating raises an :class:`~mnemon.errors.AdapterError` when an adapter does not fit the model.

        Raises:
            PromptTooLongError: The system text and the last message alone do not fit.
            InputError: There is no message to answer.
            ModelError: It has been closed.
        """
        created = time.perf_counter()
        if not any(m.role == "user" and m.content.strip() for m in messages):
            raise InputError("There is nothing to answer.", hint="Write a message first.")
        with self._owner.open():
            kept = self._sequences.conversation(session)
        plan = self._layout.plan(messages, kept, max_tokens)
        report = GenerationReport(
            prompt_tokens=len(plan.tokens),
            dropped_messages=plan.dropped,
            context_used=len(plan.tokens),
            context_size=self._info.context_tokens,
        )
        generation = LocalGeneration(
            report, created, piece=self.model.piece, thoughts=self._thoughts, interrupt=self._owner.interrupt
        )
        steps = self._answer(generation, plan, kept, sampling or self._info.sampling, grammar, tuple(adapters))
        self._owner.submit(priority, steps, lambda: generation.end("stopped"), generation)
        return generation

    def loglikelihood(
        self, messages: Sequence[ChatMessage], answer: str, *, priority: Priority = Priority.BACKGROUND
    ) -> TokenScores:
        """How likely the model finds ``answer`` as its reply to ``messages``, token by token."""
        plan, tokens = self._layout.plan_given(messages, answer)
        if not tokens:
            return TokenScores((), ())
        scores = self._owner.wait_for(priority, lambda: self._filling.score(plan.tokens, tokens))
        return TokenScores(tuple(self.model.text([t]) for t in tokens), tuple(scores))

    def base_sha256(self) -> str:
        """SHA-256 of the model's file in hexadecimal digits: what adapters are made for. Read once, 0.4 s a GB."""
        return gguf_file.sha256(self.model.path)

    def scorer(self, examples: Sequence[tuple[Sequence[ChatMessage], str]]) -> Scorer:
        """Prompts and their answers, to be scored under one set of adapters after another; close it when done.

        It works in the background, as far as the owner of the model is concerned: a person goes before.

        Raises:
            PromptTooLongError: An example does not fit into the window.
            ModelError: Not enough memory, or the model has been closed.
        """
        from mnemon.runtime.scoring import Scorer

        laid_out = [self._layout.plan_given(messages, answer) for messages, answer in examples]
        given = [(plan.tokens, answer) for plan, answer in laid_out]
        return Scorer(self._owner, self._engine, self._prompts, self._activation, self._loras, given)

    def count_tokens(self, text: str) -> int:
        """Length of ``text`` in this model's tokens."""
        return len(self.model.plain(text))

    def forget_session(self, session: str) -> None:
        """Drop what is kept of a conversation, in memory and on disk."""
        self._owner.call(lambda: self._sequences.forget(session))

    def forget_all_sessions(self) -> None:
        """Drop what is kept of all conversations, in memory and on disk."""
        self._owner.call(self._sequences.forget_all)

    def close(self) -> None:
        """Stop everything, write paused conversations to disk and free the model; calling it again does nothing."""
        self._owner.close()

    def __enter__(self) -> LocalModel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _thoughts(self) -> ThoughtFilter:
        return ThoughtFilter(inside=self._layout.template.opens_thought)

    # -- in the owner thread ----------------------------------------------------------------------------------

    def _answer(
        self,
        generation: LocalGeneration,
        plan: Plan,
        kept: Conversation,
        sampling: Sampling,
        grammar: str | None,
        active: Active,
    ) -> Steps:
        engine, activation, report = self._engine, self._activation, generation.report
        out: list[int] = []
        reason: StopReason = "stopped"
        sequence, pace = -1, self._pace
        drafter = Drafter(pace, plan.tokens)
        try:
            with Sampler(engine, sampling, grammar) as sampler:
                guard = RepetitionGuard()
                pending: list[tuple[int, float]] = []
                flushed = 0.0
                ends, piece = self._layout.ends, self.model.piece
                decodes, drafting = -1, engine.can_cut
                while not generation.stopped:
                    if engine.decodes != decodes:  # at the beginning, and when somebody else had the engine
                        sequence = self._sequences.place(kept, [*plan.tokens, *out], plan.limit - len(out))
                        yield from self._read(generation, sequence, plan, kept, out, active)
                        if generation.stopped:
                            break
                        pace.interrupted()
                    token, logprob = sampler.choose(drafter.row)
                    if ends(token):
                        reason = "end"
                        break
                    out.append(token)
                    pending.append((token, logprob))
                    now = time.perf_counter()
                    if len(out) == 1:
                        report.first_token_ms = 1000 * (now - generation.created)
                    report.answer_tokens = len(out)
                    if now - flushed > _FLUSH:
                        report.context_used = report.prompt_tokens + len(out)
                        generation.put(pending)
                        pending, flushed = [], now
                    if guard.add(piece(token).decode("utf-8", "replace")):
                        reason = "repeat"
                        break
                    if len(out) >= plan.limit:
                        reason = "length"
                        break
                    if drafter.row >= 0:
                        if drafter.confirms(token):
                            continue
                        self._take_back(sequence, drafter)  # before anybody else may come
                        drafter.judged()
                    decodes = engine.decodes
                    yield
                    if engine.decodes == decodes and not generation.stopped:
                        activation.use(active)
                        watched = drafting and pace.pays
                        draft = drafter.draft(out, plan.limit - len(out) - 1) if watched else ()
                        try:
                            self._go_on(sequence, token, draft, watched=watched)
                            decodes = engine.decodes
                        except DecodeAborted:
                            drafter.drop()
                            yield
                            self._owner.resume()
                            decodes = -1
                        except CacheFull:
                            drafter.drop()
                            drafting = False  # there is no room to try things
                            decodes = -1  # the prefill that follows makes room
            report.context_used = report.prompt_tokens + len(out)
            generation.put(pending)
        finally:
            activation.off()
            pace.answered(len(out))
            if sequence >= 0:
                self._take_back(sequence, drafter)
            self._leave(sequence, plan, kept, out, active)
        generation.end(reason)

    def _go_on(self, sequence: int, token: int, draft: Sequence[int], *, watched: bool) -> None:
        """Decode a token, and what may follow it; ``watched``: note how long that took."""
        began = time.perf_counter() if watched else 0.0
        if draft:
            self._engine.decode(sequence, [token, *draft], every=True)
        else:
            self._engine.step(sequence, token)
        if watched:
            self._pace.took(1 + len(draft), time.perf_counter() - began)

    def _leave(self, sequence: int, plan: Plan, kept: Conversation, out: list[int], active: Active) -> None:
        """Give the sequence (-1: there was none) back to its conversation, and have that read by the bare model."""
        if sequence >= 0:
            self._sequences.release(kept, plan.dropped, self._layout.as_generated(out))
        if active and kept.name is not None:
            with contextlib.suppress(ModelError):  # closed: a saved conversation is decoded when it reopens
                settle = self._filling.settle(kept, [*plan.tokens, *out])
                self._owner.submit(Priority.BACKGROUND, settle, lambda: None)

    def _read(
        self,
        generation: LocalGeneration,
        sequence: int,
        plan: Plan,
        kept: Conversation,
        out: list[int],
        active: Active,
    ) -> Steps:
        """The prompt and the answer so far, decoded as far as they are not there yet."""
        if active:
            cached = yield from self._filling.adapted(kept, plan, out, active, generation)
        else:
            tokens = [*plan.tokens, *out]
            cached = yield from self._filling.prompt(sequence, tokens, generation, shift=plan.shift)
        if not out and not generation.stopped:
            generation.report.cached_tokens = cached

    def _take_back(self, sequence: int, drafter: Drafter) -> None:
        """Leave in the sequence what was said, without the tokens of a draft that were not confirmed."""
        if drafter.unused:
            self._engine.truncate(sequence, len(self._engine.tokens(sequence)) - drafter.unused)


def _identity(path: Path, cells: int) -> bytes:
    """What a cache depends on: the weights, the size of the context, and the llama.cpp that computed it.

    The header and size of a file tell models apart; hashing gigabytes at each start would cost seconds.
    """
    with path.open("rb") as file:
        head = hashlib.sha256(file.read(1 << 20)).hexdigest()
        size = file.seek(0, 2)
        file.seek(max(0, size - (1 << 20)))
        tail = hashlib.sha256(file.read()).hexdigest()
    return f"{head} {tail} {size} {cells} {version('llama-cpp-python')}".encode()
