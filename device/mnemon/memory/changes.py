"""Life changes told in passing: a message that says so ends what an earlier one said, whatever it was about.

"The Fiesta's gone, I'm driving a Corsa" fits no pattern for cars and needs none: it announces a change, it names the
Fiesta, and one earlier message speaks of a Fiesta. What that message says held until then. The rules of
:mod:`mnemon.memory.consolidation` come first; this is for what they do not read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from mnemon import words
from mnemon.memory.phrasing import is_plain_question
from mnemon.memory.records import Fact, Message, Recalled

if TYPE_CHECKING:
    from mnemon.memory.memory import Memory
    from mnemon.memory.store import Store

MAX_CHARACTERS = 400
"""Longer messages tell a story; that one sentence of it changes what holds is not found out by comparing wholes."""
_CANDIDATES = 12

# Chosen on the hundred changes of `mnemon eval changes`, round: most messages reach it with the one they change, few
# with any other. Both keep their day, so that a wrong link shows the older words as past and loses nothing.
ENDS = 0.60
_SHARED_NAME = 0.25
_SHARED_WORD = 0.08

_CUE = re.compile(
    r"""\b(?:
        now | nowadays | these\ days | as\ of | from\ now\ on | since | any\ ?more | no\ longer | no\ more
        | instead | used\ to | after\ all | new | again | not\ .{1,30}\ but | other\ than | mov(?:ed|ing) | left
        | leaving | quit\w* | gave | given | giving | sold | s[wo]apped | swapping | switch\w* | chang\w+
        | start(?:ed|ing) | stopp\w+ | retir\w+ | cancel\w+ | join(?:ed|ing) | died | passed\ away | split
        | broke | broken | divorc\w+ | dumped | ditched | dropped | finish\w* | clos(?:ed|ing) | shut
        | replac\w+ | traded | bec[ao]m(?:e|ing) | turn(?:ed|s) | gone | going\ out\ with | history | packed\ in
        | hung\ up | rebook\w* | push(?:ed)?\b | postpon\w+ | brought\ forward | delayed | resched\w+ | upped
        | cut\ (?:out|down) | down\ to | up\ to | over\ (?:to|with|for) | it's\ over | fell\ out
        | called\ (?:it|the\ .+)?\ ?off | is\ off | 's\ off | lost | stole\w* | broke\ down | went | ended
        | expired | lapse\w* | put\ (?:me|us|aside) | ran\ out | got\ rid | said\ goodbye | say\ goodbye
        | let\ (?:me|us)\ go | made\ me | promot\w+ | transferr\w+ | relocat\w+ | resign\w+ | redundan\w+
        | sacked | fired | unpacked | upgrad\w+ | downsiz\w+ | convert\w+ | remortgag\w+ | remarri\w+ | renamed
        | grew\ out | outgrew | gave\ up | given\ up | done\ with | back\ to | out\ of | out\ and | is\ out
        | is\ in | married | different | goodbye | (?:took|taken|taking)\ (?:over|up) | picked\ up | conked\ out
        | scrapp\w+ | written\ off | binned | chucked | jacked\ in | packed\ (?:it|up) | on\ the\ head
        | called\ time | had\ enough | fed\ up | bored\ of | ended\ up | decided | moved\ on | at\ last
        | finally | turns?\ out | went\ for | handed | onto | on\ to | bust
        | from\ (?:next|this|mon|tue|wed|thu|fri|sat|sun)\w*
        | (?:last|this)\ (?:week|month|weekend|morning|year) | yesterday | won't\ be | other\ one | for\ good
        | permanently | officially | temporarily | never\ again | until\ further\ notice | on\ my\ own
        | in\ place\ of | return(?:ed|ing) | back\ (?:in|with|on) | hired | appointed | signed | enroll?\w*
        | registered | opened | adopted | inherited | took\ on | taken\ on | stands?\ in | filling\ in
        | farewell | bye | ban(?:s|ned) | doctor\ says | told\ to | had\ to | have\ to | came\ round | persuaded
        | talked\ (?:me|us)\ into | gave\ in | caved | downgraded | extended | shortened | bumped
        | shift(?:ed|s) | slipped | set\ back | rotat\w+ | trading | turned\ into | rather | later | earlier
        | sooner | it\ is\ then | kicked | cold\ turkey | loves?\ .+\ more | dyed | shaved | repainted
        | redecorated | rebranded | merged | bought | got\ (?:the|a|an|our|my|us)\b | grew | by\ myself | alone
        | without | failed | passed | won | promoted | demoted | elected | qualified | graduated
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)
_ADDS = re.compile(
    r"\b(?:also|too(?=\s*(?:[,.;!?]|$))|as well|besides|another|a second|still|both|in addition|on top of that)\b",
    re.IGNORECASE,
)
# Who it is stays who it is when they move or retire; only a parting ends "my boyfriend is called Callum".
_PARTING = re.compile(
    r"\b(?:left|leaving|retired|moved out|died|passed away|put (?:him|her|it|them) down|goodbye|split|broke up"
    r"|broken up|divorc\w+|dumped|fell out|went back|gone|ran away|rehomed|sold|stole\w*|replac\w+|ex|over|closed)\b",
    re.IGNORECASE,
)
_KIN = frozenset(
    "brother sister mum mom mother mam dad father son daughter child kid baby uncle aunt auntie cousin nephew niece"
    " grandson granddaughter grandma grandpa grandmother grandfather gran nan granny grandad stepmum stepdad"
    " mother-in-law father-in-law twin".split()
)


def announces(text: str) -> bool:
    """Whether ``text`` says that something is not as it was, rather than one thing more."""
    text = text.replace("’", "'")
    if len(text) > MAX_CHARACTERS or not _CUE.search(text) or adds(text):
        return False
    return not is_plain_question(text)


def adds(text: str) -> bool:
    """Whether ``text`` says that it is one thing more, or as it was."""
    return bool(_ADDS.search(text))


def relation(newer: str, older: str, cosine: float) -> float:
    """How surely two messages are about the same thing, about 0 to 2: meaning, and the names and words they share."""
    shared = set(words.content_words(newer)) & set(words.content_words(older)) - _CALENDAR
    names = {words.stem(name) for name in (*words.names(newer), *words.names(older))} & shared
    return max(0.0, cosine) + _SHARED_NAME * len(names) + _SHARED_WORD * len(shared - names)


_CALENDAR = {words.stem(word) for word in words.CALENDAR_WORDS}


class Changes:
    """Which message changed what another one said.

    Args:
        store: The encrypted file.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, older_id: int, newer_id: int) -> None:
        """Note that with message ``newer_id`` what ``older_id`` says no longer holds. Twice is once."""
        self._store.execute("INSERT OR IGNORE INTO changes (older_id, newer_id) VALUES (?, ?)", (older_id, newer_id))

    def newer(self, ids: Iterable[int]) -> dict[int, list[int]]:
        """For each message, those that changed what it says, newest first: by a fact in place of one of its facts,
        or noted here. Messages that still hold are left out."""
        return self._pairs("older", ids)

    def older(self, ids: Iterable[int]) -> dict[int, list[int]]:
        """For each message, those it changed, newest first."""
        return self._pairs("newer", ids)

    def _pairs(self, known: str, ids: Iterable[int]) -> dict[int, list[int]]:
        other = "newer" if known == "older" else "older"
        rows = self._store.tuples(
            f"SELECT DISTINCT {known}, {other} FROM ("
            "  SELECT ended.source_id AS older, began.source_id AS newer FROM facts AS ended"
            "  JOIN facts AS began ON began.id = ended.superseded_by"
            "  WHERE began.source_id != ended.source_id"
            "  UNION SELECT older_id, newer_id FROM changes)"
            f" WHERE {known} IN (SELECT value FROM json_each(?)) ORDER BY {other} DESC",
            (json.dumps([int(id) for id in ids]),),
        )
        found: dict[int, list[int]] = {}
        for one, two in rows:
            found.setdefault(int(one), []).append(int(two))
        return found

    def mark(self, recalled: list[Recalled]) -> list[Recalled]:
        """``recalled`` with ``valid`` False for messages that were changed in something none of their facts says."""
        numbers = [int(memory.id[1:]) for memory in recalled if memory.kind == "message"]
        noted = self._store.tuples(
            "SELECT older_id FROM changes WHERE older_id IN (SELECT value FROM json_each(?))", (json.dumps(numbers),)
        )
        changed = {f"m{id}" for (id,) in noted}
        return [
            replace(memory, valid=False)
            if memory.id in changed and all(fact.valid_to is None for fact in memory.facts)
            else memory
            for memory in recalled
        ]


def changed_by(memory: Memory, message: Message) -> Recalled | None:
    """The earlier words of the owner that ``message`` changes; None when it changes none, or it is not sure which."""
    if not announces(message.text):
        return None
    best, score = None, ENDS
    for found in memory.recall(message.text, limit=_CANDIDATES, exclude=(message.memory_id,), at=message.said_at):
        source = found.source
        if found.kind != "message" or source is None or source.role != "owner" or not found.valid:
            continue
        if (source.said_at, int(found.id[1:])) >= (message.said_at, message.id):
            continue
        related = relation(message.text, found.text, found.cosine)
        if related >= score:
            best, score = found, related
    return best


def concerned(message: Message, facts: Collection[Fact]) -> list[Fact]:
    """Those of an earlier message's facts that ``message`` changes: the ones it names, else all that can change."""
    changing = [fact for fact in facts if fact.valid_to is None and _can_end(fact, message.text)]
    said = set(words.content_words(message.text)) - _CALENDAR
    named = [
        fact
        for fact in changing
        if said & (set(words.content_words(fact.text)) - set(words.content_words(f"user {fact.subject}")) - _CALENDAR)
    ]
    return named or changing


def _can_end(fact: Fact, text: str) -> bool:
    if fact.attribute in ("birthday", "birthplace", "hometown", "death"):
        return False
    if fact.attribute != "name" or fact.subject == "user":
        return fact.attribute != "name"
    return fact.subject.split()[-1] not in _KIN and bool(_PARTING.search(text))
