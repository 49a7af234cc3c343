"""The owner asks to forget something, in a conversation: what is meant is found here and shown, never forgotten here.

Form alone tells a request from a remark ("don't forget the milk", "I forgot my keys"); what it means is looked for
in memory by name, by words and by meaning, and offered in two lists: what is surely meant, and what may be.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mnemon.memory.forgetting import Line
from mnemon.memory.phrasing import is_plain_question
from mnemon.memory.selecting import by_person, by_words
from mnemon.words import FUNCTION_WORDS, content, content_words, names, sentences, stem, words

if TYPE_CHECKING:
    from mnemon.answering.draft import Draft
    from mnemon.memory.memory import Memory
    from mnemon.memory.records import Message

FORGET_PROPOSED = "I can forget that. Nothing is gone until you confirm what it shall be."
FORGET_NOTHING = "I find nothing like that in what you told me, so there is nothing to forget."
FORGET_EVERYTHING = "To empty my whole memory, run `mnemon memory forget --everything`; it cannot be undone."

_SURE = 0.40
"""Cosine from which the best match of a request without any of its words is taken as meant; MiniLM gives unrelated
sentences 0.1 and a paraphrase 0.6 and more."""
_NEAR = 0.25
"""Cosine from which something is offered at all."""
_CLOSE_SECOND = 0.10
"""Among memories of one person, those that fit the topic nearly as well as the best one are meant too."""
_OFFERED = 8
_AROUND = 3

_PLEASE = r"(?:(?:can|could|would|will) you )?(?:please |pls |just |now )*"
_CLAUSE = r"(?:^|[,;:.!?—–-]\s*|\b(?:so|please|then|ok|okay|but) )"
_FORMS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        _CLAUSE + _PLEASE + r"(?:forget|delete|erase|wipe|scrub|scrap|purge)\b(?! to\b)(?P<what>.*)",
        _CLAUSE + _PLEASE + r"(?:remove|take|strike|clear|drop) (?P<what>.+) (?:from|out of|off) (?:your|the) "
        r"(?:memory|memories|notes?|records?|mind)",
        _CLAUSE + r"(?:pretend|act like|act as if) (?:that )?(?:i|we)(?:'d| had|'ve| have)? never (?P<what>.*)",
        r"(?<!\bi )(?<!\bwe )(?<!\bthey )(?<!\byou )\b(?:don't|do not|never) "
        r"(?:keep|store|save|remember|record|note)\b(?P<what>.*)",
        r"\bi (?:don't|do not|didn't) want (?P<what>.+?) (?:stored|kept|saved|remembered|recorded|in your \w+)\b",
        r"\bi(?:'d)? (?:want|need|like|would like) (?P<what>.+?) (?:to be )?"
        r"(?:gone|deleted|erased|forgotten|wiped)\b",
    )
)
_SAID = r"(?:said|told you|mentioned|wrote|shared|brought up|talked|spoke|confessed|confided|typed|admitted)"
_LEADING = re.compile(
    r"^(?:(?:what|everything|anything|all|whatever|the (?:things?|stuff|bits?|parts?))"
    rf" (?:that )?(?:i|we|you)(?:'ve| have|'d)? (?:just |ever )*(?:{_SAID}|know)"
    r"|(?:everything|anything|all|that|it all|the (?:things?|stuff|bits?|parts?)|what you know|whatever)"
    rf"(?= (?:about|of|on|to do with))|(?:that )?(?:(?:i|we)(?:'ve| have)? )?(?:just |ever |even )*{_SAID}"
    r"|about|of|on|to do with|regarding|that|ever|all)\b\s*",
    re.IGNORECASE,
)
_TRAILING = re.compile(
    r"\s*\b(?:(?:ever )?(?:came up|happened|existed)"
    r"|(?:from|in|out of) (?:your|the)? ?(?:memory|notes?|records?|mind)"
    r"|please|for good|for ever|forever|completely|entirely|now|again|thanks|thank you|all of it"
    r"|(?:will|would) you)$",
    re.IGNORECASE,
)
_EVERYTHING = re.compile(
    r"(?:absolutely )?(?:everything|it all|all)(?: of it)?(?: (?:that )?(?:you know|i told you|i(?:'ve)? said))?"
    r"(?: about (?:me|us))?(?: please| now)?",
    re.IGNORECASE,
)
_POINTING = FUNCTION_WORDS | frozenset(
    "it that this those these them thing things last confessed confided admitted mentioned wrote typed shared message"
    " messages bit part just never ever know".split()
)
_EXPLICIT = re.compile(
    rf"\b(?:{_SAID}|everything about|memory|notes?|records?|stored|kept|what you know|ever came up)\b", re.IGNORECASE
)
_LEANS = re.compile(
    r"\b(?:he|she|they|him|her|them|his|hers|their|theirs|it|its|there|too|that|this|those)\b|^(?:and|also|plus|but)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Request:
    """What a request names.

    Attributes:
        what: The words for it; empty when it only points back ("forget that").
        everything: It asks to forget all there is.
        explicit: It speaks of what was told or noted, so that it cannot mean anything else.
    """

    what: str
    everything: bool = False
    explicit: bool = False


@dataclass(frozen=True, slots=True)
class Proposal:
    """What could be forgotten at the owner's request, to be shown and confirmed.

    Attributes:
        sure: What is surely meant.
        perhaps: What may be meant besides, best first.
        request_id: The message that asked; it is forgotten with what it names.
        answer_id: The answer to it.
    """

    sure: tuple[Line, ...]
    perhaps: tuple[Line, ...]
    request_id: int
    answer_id: int


def understand(text: str) -> Request | None:
    """The request to forget something that ``text`` is or holds; None when it is none."""
    plain = " ".join(text.replace("’", "'").split())
    for sentence in reversed(sentences(plain)):
        found = next((match for form in _FORMS if (match := form.search(sentence))), None)
        if found is None:
            continue
        what = _bare(found["what"])
        everything = bool(_EVERYTHING.fullmatch(found["what"].strip(" .,!")))
        telling = [word for word in words(what) if word.lower() not in _POINTING]
        return Request(" ".join(what.split()) if telling else "", everything, bool(_EXPLICIT.search(sentence)))
    return None


def answer(memory: Memory, request: Request, draft: Draft) -> Proposal | None:
    """Answer a request to forget; the answer repeats nothing of it. An empty draft afterwards: it was no request."""
    proposal, text = None, FORGET_EVERYTHING
    if not request.everything:
        proposal = propose(memory, request, draft.question, draft.answer_id)
        text = FORGET_PROPOSED if proposal else FORGET_NOTHING if request.explicit else ""
    if text:
        draft.route, draft.reason = "quoted", "a request to forget"
        draft.grow(text)
        memory.messages.mark_extracted(draft.question.id)  # no fact is taken from the words of a request
    return proposal


def propose(memory: Memory, request: Request, question: Message, answer_id: int) -> Proposal | None:
    """What in memory the request means; None when nothing comes near."""
    chosen = _Choice(memory, question)
    if request.what:
        chosen.by_name(request.what)
        chosen.by_words(request.what)
        chosen.by_meaning(request.what)
    else:
        chosen.what_was_just_said()
    chosen.what_goes_on_from_it()
    return chosen.proposal(answer_id)


class _Choice:
    """Messages and facts by id, the sure ones apart from those that may be meant."""

    def __init__(self, memory: Memory, question: Message) -> None:
        self._memory = memory
        self._question = question
        self._sure: dict[str, str] = {}
        self._perhaps: dict[str, str] = {}

    def by_name(self, what: str) -> None:
        """Whatever mentions the person or thing named; with a topic besides, what fits the topic best."""
        found = list(dict.fromkeys(word.removesuffix("'s") for word in names(f"about {what}")))
        if not found:
            return
        texts = {id: text for name in found for id, text in self._texts(by_person(self._memory.store, name)).items()}
        topic = [word for word in content_words(what) if word not in {stem(name) for name in found}]
        if not topic or not texts:
            self._sure |= texts
            return
        close = self._closeness(what, texts)
        best = max(close.values())
        self._sure |= {id: text for id, text in texts.items() if close[id] >= best - _CLOSE_SECOND}
        self._perhaps |= texts

    def by_words(self, what: str) -> None:
        """What has all the words, or more of them than anything else and at least half."""
        wanted = content(what)
        if self._sure or not wanted:
            return
        texts = {
            id: text
            for word in words(what)
            if content(word) & wanted
            for id, text in self._texts(by_words(self._memory.store, word)).items()
        }
        share = {id: len(wanted & content(text)) / len(wanted) for id, text in texts.items()}
        best = max(share.values(), default=0.0)
        self._sure |= {id: text for id, text in texts.items() if share[id] == best >= 0.5}
        self._perhaps |= texts

    def by_meaning(self, what: str) -> None:
        """What means it; the best match is sure only when no words were found."""
        found = [
            one
            for one in self._memory.search(what, limit=_OFFERED + 4, everything=True)
            if one.id != self._question.memory_id and not (one.source and one.source.role == "assistant")
        ]
        texts = {one.id: one.text for one in found if not is_plain_question(one.text)}
        close = self._closeness(what, texts)
        ordered = sorted(texts, key=lambda id: -close[id])
        if not self._sure and ordered and close[ordered[0]] >= _SURE:
            self._sure[ordered[0]] = texts[ordered[0]]
        self._perhaps |= {id: texts[id] for id in ordered if close[id] >= _NEAR}

    def what_was_just_said(self) -> None:
        """The owner's last words before the request; what came before them may be meant too."""
        said = [m for m in self._before(_AROUND * 4) if m.role == "owner" and not is_plain_question(m.text)]
        for message in said[-1:]:
            self._sure[message.memory_id] = message.text
        self._perhaps |= {message.memory_id: message.text for message in reversed(said[-1 - _AROUND : -1])}

    def what_goes_on_from_it(self) -> None:
        """The messages said next to the sure ones: those that lean on them are meant, the others may be."""
        messages = self._memory.messages
        for id, text in list(self._sure.items()):
            if not id.startswith("m"):
                continue
            around = [
                message
                for message in messages.around(int(id[1:]), 2 * _AROUND, 2 * _AROUND)
                if message.role == "owner" and message.id not in (self._question.id, int(id[1:]))
            ]
            after = [message for message in around if message.id > int(id[1:])]
            named = {stem(name) for name in names(f"about {text}")}
            for message in around:
                leans = message in after[:1] and _LEANS.search(message.text) and not names(message.text)
                same = bool(named & {stem(name) for name in names(f"about {message.text}")})
                if request_like(message.text) or is_plain_question(message.text):
                    continue
                (self._sure if leans or same else self._perhaps).setdefault(message.memory_id, message.text)

    def proposal(self, answer_id: int) -> Proposal | None:
        """The lists without doubles: a fact goes with its message and is not offered beside it."""
        for id in [f"m{self._question.id}", f"m{answer_id}"]:
            self._sure.pop(id, None)
            self._perhaps.pop(id, None)
        numbers = [int(id[1:]) for id in (*self._sure, *self._perhaps) if id[0] == "m"]
        taken = {fact.memory_id for facts in self._memory.facts.of_messages(numbers).values() for fact in facts}
        sure = {id: text for id, text in self._sure.items() if id not in taken}
        perhaps = {id: text for id, text in self._perhaps.items() if id not in taken and id not in sure}
        if not sure and not perhaps:
            return None
        return Proposal(
            tuple(Line(id, sure[id]) for id in sorted(sure, key=lambda id: (id[0] != "m", int(id[1:])))),
            tuple(Line(id, text) for id, text in list(perhaps.items())[:_OFFERED]),
            self._question.id,
            answer_id,
        )

    def _before(self, count: int) -> list[Message]:
        return self._memory.messages.around(self._question.id, count, 0)[:-1]

    def _texts(self, ids: set[str]) -> dict[str, str]:
        numbers = [int(id[1:]) for id in ids if id[0] == "m"]
        found = {m.memory_id: m.text for m in self._memory.messages.many(numbers).values()}
        found |= {id: self._memory.facts.get(int(id[1:])).text for id in ids if id[0] == "f"}
        found.pop(self._question.memory_id, None)
        return found

    def _closeness(self, what: str, texts: dict[str, str]) -> dict[str, float]:
        if not texts:
            return {}
        vectors = self._memory.embedder.embed([what, *texts.values()])
        return dict(zip(texts, (vectors[1:] @ vectors[0]).tolist(), strict=True))


def request_like(text: str) -> bool:
    """Whether it asks to forget something: such a message is not itself what is meant."""
    return understand(text) is not None


def _bare(what: str) -> str:
    what = re.split(r"[,;!?—–]|\.(?:\s|$)| - ", what.strip(" ,:.-"))[0].strip()
    for pattern in (_TRAILING, _LEADING, _TRAILING):
        before = ""
        while before != what:
            before, what = what, pattern.sub("", what).strip()
    return what
