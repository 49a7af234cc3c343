"""Chat templates: from messages to the tokens a model was trained on, without people's words becoming control tokens.

A GGUF file brings its own Jinja template. It is rendered in a sandbox with a placeholder for every message; the text
between the placeholders is the template's (there ``<|im_end|>`` is a control token), the placeholders are then
replaced by what people said (there it is ten characters). The template never sees a word of the conversation, so
nothing in a message can look like a placeholder, end a turn or steer a template that inspects what it is given.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from mnemon.errors import TemplateError
from mnemon.runtime.chat_model import ChatMessage

if TYPE_CHECKING:
    from mnemon.runtime.vocabulary import Model

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{{ message['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
_HINT = "Choose another model, or set model.chatml_fallback = true to try ChatML."
_MARGIN = "\u2003"
"""An em space: white space to Jinja's ``trim``, and in no template."""
_PROBE = (
    ChatMessage("system", "s"),
    ChatMessage("user", "u"),
    ChatMessage("assistant", "a"),
    ChatMessage("user", "u"),
    ChatMessage("assistant", "a"),
    ChatMessage("user", "u"),
)


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a prompt: what the template wrote (``message`` None), or one message's words."""

    text: str
    message: ChatMessage | None = None


def normalised(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """The messages as every template takes them: system text first, then user and assistant in turns.

    Neighbours with the same role are joined by a blank line; an answer nobody asked for is left out.
    """
    system = "\n\n".join(m.content for m in messages if m.role == "system" and m.content.strip())
    turns: list[ChatMessage] = []
    for message in messages:
        if message.role == "system" or (message.role == "assistant" and not turns):
            continue
        if turns and turns[-1].role == message.role:
            turns[-1] = ChatMessage(message.role, f"{turns[-1].content}\n\n{message.content}")
        else:
            turns.append(message)
    return [ChatMessage("system", system), *turns] if system else turns


class ChatTemplate:
    """A chat template that has been tried out and works with system, user and assistant texts.

    Args:
        source: Jinja, as found in a GGUF file.
        bos: How the model's first token is written.
        eos: How its last token is written.
        now: The day templates may ask for; fixed, so that the beginning of a prompt does not change at midnight.

    Attributes:
        merges_system: The template takes no system text; it goes before the owner's first words instead.
        answer_opening: What the template writes between the request to answer and the answer, but not in history
            (Qwen3's empty ``<think>`` block).
        opens_thought: The model starts its answer inside ``<think>``.
        closing: What it writes after an answer.

    Raises:
        TemplateError: It cannot be parsed, refuses such messages, or does not show every message once.
    """

    def __init__(self, source: str, *, bos: str = "", eos: str = "", now: datetime | None = None) -> None:
        import jinja2

        self._now = now or datetime.now().astimezone()
        self._constants = {"bos_token": bos, "eos_token": eos, "tools": None, "documents": None}
        try:
            self._template = self._environment().from_string(source)
        except (jinja2.TemplateError, RecursionError) as error:
            raise TemplateError(f"The model's chat template cannot be read: {error}.", hint=_HINT) from error
        # words never go through the template, only marks do, so that one mark serves for good: a pattern compiled for
        # each prompt took 50 of the 70 µs of laying it out
        self._mark = f"mnemon{secrets.token_hex(6)}x"
        self._marks = re.compile(rf"({_MARGIN}?){self._mark}(\d+)x({_MARGIN}?)")
        self.merges_system = False
        self._parts = False
        self._strips: dict[str, tuple[bool, bool]] = {}
        segments = self._try_out()
        texts = [s.text for s in segments if s.message is None]
        history, request = self._openings(texts)
        self.appends = request.startswith(history)
        self.answer_opening = request[len(history) :] if self.appends else ""
        self.opens_thought = request.rstrip().endswith("<think>")
        self.closing = texts[-2]

    def layout(self, messages: Sequence[ChatMessage]) -> list[Segment]:
        """The prompt that asks for an answer to ``messages`` (see :func:`normalised`), in stretches.

        Raises:
            TemplateError: The template refuses them.
        """
        turns = list(messages)
        if self.merges_system and turns and turns[0].role == "system":
            system, turns = turns[0], turns[1:]
            first = turns[0].content if turns else ""
            turns[:1] = [ChatMessage("user", f"{system.content.strip()}\n\n{first}")]
        return [
            segment if segment.message is None else Segment(self._stripped(segment.message), segment.message)
            for segment in self._render(turns)
        ]

    def _stripped(self, message: ChatMessage) -> str:
        """What the template would have made of the white space around the words."""
        left, right = self._strips.get(message.role, (False, False))
        text = message.content
        text = text.lstrip() if left else text
        return text.rstrip() if right else text

    def _try_out(self) -> list[Segment]:
        """Find out what the template takes: text or parts, with or without a system text."""
        problem = ""
        for self.merges_system in (False, True):
            for self._parts in (False, True):
                probe = _PROBE[1:] if self.merges_system else _PROBE
                try:
                    return self._render(probe, margin=_MARGIN)
                except TemplateError as error:
                    problem = problem or str(error)
        raise TemplateError(problem, hint=_HINT)

    def _openings(self, texts: list[str]) -> tuple[str, str]:
        """What stands before an answer in history, and what stands at the end to ask for one."""
        if len(texts) < 3 or not texts[-1]:
            raise TemplateError("The model's chat template does not ask for an answer.", hint=_HINT)
        return texts[-3], texts[-1]

    def _render(self, messages: Sequence[ChatMessage], margin: str = "") -> list[Segment]:
        import jinja2

        marks = [f"{self._mark}{i}x" for i in range(len(messages))]
        contents = [f"{margin}{mark}{margin}" for mark in marks]
        given = [
            {"role": m.role, "content": [{"type": "text", "text": text}] if self._parts else text}
            for m, text in zip(messages, contents, strict=True)
        ]
        try:
            rendered = self._template.render(
                messages=given,
                add_generation_prompt=True,
                enable_thinking=False,  # who waits on a small device wants the answer, not the deliberation
                **self._constants,
            )
        except (
            jinja2.TemplateError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError
        ) as error:  # fmt: skip
            raise TemplateError(f"The model's chat template fails: {error}.", hint=_HINT) from error
        found = self._marks.split(rendered)
        if found[2::4] != [str(i) for i in range(len(messages))]:
            raise TemplateError("The model's chat template does not show every message once, in order.", hint=_HINT)
        segments = [Segment(found[0])]
        for message, left, right, after in zip(messages, found[1::4], found[3::4], found[4::4], strict=True):
            if margin:
                known = self._strips.get(message.role, (False, False))
                self._strips[message.role] = (known[0] or not left, known[1] or not right)
            segments += [Segment(message.content, message), Segment(after)]
        return segments

    def _environment(self) -> Any:
        from jinja2 import ext, nodes
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        class Generation(ext.Extension):
            """``{% generation %}`` marks answers for training; here its body is simply rendered."""

            tags = {"generation"}  # noqa: RUF012  (Jinja's own protocol)

            def parse(self, parser: Any) -> Any:
                line = next(parser.stream).lineno
                body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
                return nodes.Scope(body).set_lineno(line)

        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[ext.loopcontrols, Generation]
        )
        environment.filters["tojson"] = _tojson
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = lambda form: self._now.strftime(form)
        return environment


def load(model: Model, *, chatml_fallback: bool = False) -> tuple[ChatTemplate, tuple[str, ...]]:
    """The template of a model, and what its owner should know about it.

    Args:
        model: Its file is read for ``tokenizer.chat_template``.
        chatml_fallback: Use ChatML when there is none or it does not work.

    Raises:
        TemplateError: There is none or it does not work, and ChatML was not asked for.
    """
    bos, eos = model.written(model.bos), model.written(model.eos)
    source = model.metadata("tokenizer.chat_template")
    try:
        if not source:
            raise TemplateError(f"{model.path.name} has no chat template.", hint=_HINT)
        template = ChatTemplate(source, bos=bos, eos=eos)
    except TemplateError as error:
        if not chatml_fallback:
            raise
        return ChatTemplate(CHATML, bos=bos, eos=eos), (f"{error} ChatML is used instead.",)
    if template.merges_system:
        return template, ("Its chat template takes no system text: that goes before the first message.",)
    return template, ()


def encode(model: Model, segments: Sequence[Segment], answers: Mapping[str, Sequence[int]]) -> list[int]:
    """The tokens of a prompt.

    Args:
        model: Whose vocabulary.
        segments: From :meth:`ChatTemplate.layout`.
        answers: Tokens of earlier answers as they were generated, by their text: tokenising the text again may
            split it differently, and the key-value cache of everything after it would be lost.
    """
    tokens: list[int] = []
    for segment in segments:
        if segment.message is None:
            tokens += model.control(segment.text)
        elif segment.message.role == "assistant" and (known := answers.get(segment.text.strip())):
            tokens += known
        else:
            tokens += model.plain(segment.text, after=tokens[-1] if tokens else None)
    if model.adds_bos and tokens[:1] != [model.bos]:
        tokens.insert(0, model.bos)
    return tokens


def _tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None, **_: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def _refuse(message: str) -> NoReturn:
    import jinja2

    raise jinja2.TemplateError(message)
