"""Where forgotten words stand besides the memory itself: answers, prompts, titles, profile, episodes, other facts.

What gives a memory away is found by asking, after it is gone, which of its words nobody says any more. A name or a
long number of that kind is looked for everywhere; an ordinary word only near where the memory was used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping

from mnemon.memory.phrasing import is_plain_question
from mnemon.memory.store import Store
from mnemon.words import CALENDAR_WORDS, FUNCTION_WORDS, STOP_WORDS, content, plain_words, stem, words

FORGOTTEN_ANSWER = "(forgotten)"
"""What stands in place of an answer that repeated something forgotten."""
_LONG_NUMBER = 4
"""Digits from which a number gives something away by itself: a year, a PIN; "30" stands for anything."""
_PHRASE_WORDS = 12
_STILL_SAID = 20


class Traces:
    """Copies of forgotten words. Made before the memories are removed, used after.

    Args:
        store: The file, inside a transaction.
        messages: The words of the people that are removed, by number.
        facts: Text and value of the facts that are removed.
        all_messages: Every message that is removed, Mnemon's answers among them.
        conversations: Those removed whole.
    """

    def __init__(
        self,
        store: Store,
        *,
        messages: Mapping[int, str],
        facts: Mapping[int, tuple[str, str]],
        all_messages: Collection[int],
        conversations: Collection[int],
    ) -> None:
        self._store = store
        self._ids = [*(f"m{id}" for id in all_messages), *(f"f{id}" for id in facts)]
        self._texts = [text for text in (*messages.values(), *(text for text, _ in facts.values())) if text.strip()]
        self._words = {word for text in self._texts for word in _telling(text)}
        self._values = {word for _, value in facts.values() for word in _telling(value)} - CALENDAR_WORDS
        # The first word of a sentence counts as a name too: that nobody else says it is asked in any case.
        self._names = {
            word
            for text in messages.values()
            for name in words(text)
            if name[:1].isupper()
            for word in _telling(name)
        } - CALENDAR_WORDS
        doomed = json.dumps(list(all_messages))
        self._children = {
            row[0]
            for row in store.tuples(
                "SELECT id FROM messages WHERE role = 'assistant' AND parent_id IN (SELECT value FROM json_each(?))",
                (doomed,),
            )
        }
        self._first_in = dict[int, int](
            store.tuples(
                "SELECT conversation_id, min(id) FROM messages WHERE id IN (SELECT value FROM json_each(?))"
                " GROUP BY conversation_id",
                (doomed,),
            )
        )
        self._lost: set[str] | None = None

    def questions(self) -> dict[int, tuple[str, int, str]]:
        """The owner's plain questions that name it: with nobody left who tells it, they alone give it away."""
        found: dict[int, tuple[str, int, str]] = {}
        for word in self._telltale():
            for id, text, at in self._store.tuples(
                "SELECT id, text, said_at FROM messages WHERE role = 'owner' AND id IN"
                " (SELECT rowid FROM message_words WHERE message_words MATCH ?)",
                (_quoted(word),),
            ):
                if word in plain_words(text) and is_plain_question(text):
                    found[id] = (text, at, "owner")
        return found

    def facts(self) -> dict[int, tuple[str, str]]:
        """Facts taken from other words, with a name or a long number in them that nobody says any more."""
        found: dict[int, tuple[str, str]] = {}
        for word in self._telltale() - (self._values - self._names):
            for id, text, value in self._store.tuples(
                "SELECT id, text, value FROM facts WHERE source_id IS NOT NULL AND id IN"
                " (SELECT rowid FROM fact_words WHERE fact_words MATCH ?)",
                (_quoted(word),),
            ):
                if word in plain_words(text):
                    found[id] = (text, value)
        return found

    def clean_profile(self) -> dict[int, str]:
        """Take out lines that say it, also those written by hand. Returns their words by their numbers."""
        gone = {
            id: text
            for id, text in self._store.tuples("SELECT id, text FROM profile_lines WHERE text != ''")
            if self._gives_away(text) or self._repeats(text)
        }
        self._store.execute_many("DELETE FROM profile_lines WHERE id = ?", [(id,) for id in gone])
        return gone

    def clean_answers(self) -> dict[int, str]:
        """Take the words out of Mnemon's answers that repeat it. Returns those words by the answers' numbers."""
        near = self._given() | self._children
        doubtful = set(near)
        for word in self._lost_words():  # by now nobody but Mnemon tells them
            doubtful |= self._matching(_quoted(word))
        for text in self._texts:
            if phrase := _phrase(text):
                doubtful |= self._matching(phrase)
        rows = self._store.tuples(
            "SELECT m.id, m.text, m.conversation_id, coalesce(q.text, '') FROM messages AS m"
            " LEFT JOIN messages AS q ON q.id = m.parent_id"
            " WHERE m.role = 'assistant' AND m.text != ? AND m.id IN (SELECT value FROM json_each(?))",
            (FORGOTTEN_ANSWER, json.dumps(list(doubtful))),
        )
        cleaned: dict[int, str] = {}
        stems = {stem(word) for word in self._words}
        lost = {stem(word) for word in self._lost_words()}
        for id, text, conversation, question in rows:
            said = content(text)
            asked = set() if id in self._children else content(question)
            later = id > self._first_in.get(conversation, 1 << 62)
            if (
                self._gives_away(text)
                or self._repeats(text)
                or (id in near and (said - asked) & stems)
                or (later and (said - asked) & lost)
            ):
                cleaned[id] = text
        self._store.execute_many(
            "UPDATE messages SET text = ? WHERE id = ?", [(FORGOTTEN_ANSWER, id) for id in cleaned]
        )
        return cleaned

    def clean_rest(self, answers: Collection[int]) -> None:
        """Take it out of prompts, lists of what an answer was given, titles and episodes."""
        lost = {stem(word) for word in self._lost_words()}
        for id, context in self._store.tuples("SELECT id, context FROM messages WHERE context != ''"):
            if content(context) & lost or self._repeats(context) or self._gives_away(context):
                self._store.execute("UPDATE messages SET context = '' WHERE id = ?", (id,))
        ids = json.dumps(self._ids)
        for (id,) in self._store.tuples(
            "SELECT id FROM messages WHERE recalled != '[]' AND EXISTS (SELECT 1 FROM json_each(recalled) AS given"
            " WHERE given.value IN (SELECT value FROM json_each(?)))",
            (ids,),
        ):
            self._store.execute(
                "UPDATE messages SET context = '' WHERE id = (SELECT parent_id FROM messages WHERE id = ?)", (id,)
            )
            self._store.execute(
                "UPDATE messages SET recalled = (SELECT json_group_array(given.value) FROM"
                " json_each(messages.recalled) AS given WHERE given.value NOT IN (SELECT value FROM json_each(?1)))"
                " WHERE id = ?2",
                (ids, id),
            )
        for id, title in self._store.tuples("SELECT id, title FROM conversations WHERE title != ''"):
            said = content(title)
            told = said and any(said <= content(text) for text in self._texts)
            if told or self._gives_away(title) or (id in self._first_in and said & lost):
                self._store.execute("UPDATE conversations SET title = '' WHERE id = ?", (id,))
        self._clean_episodes(answers)
        self._clean_examples()

    def still_said(self) -> list[tuple[int, str]]:
        """Messages of people that are still there and say the value or the name of what went, at most twenty."""
        found: dict[int, str] = {}
        for word in sorted((self._values | self._names) - self._lost_words()):
            for id, text in self._store.tuples(
                "SELECT id, text FROM messages WHERE role != 'assistant' AND id IN"
                " (SELECT rowid FROM message_words WHERE message_words MATCH ? LIMIT ?) ORDER BY id DESC",
                (_quoted(word), _STILL_SAID),
            ):
                if word in plain_words(text):
                    found[id] = text
        return sorted(found.items())[:_STILL_SAID]

    def _clean_episodes(self, answers: Collection[int]) -> None:
        self._store.execute(
            "DELETE FROM episodes WHERE id IN (SELECT episode_id FROM episode_messages WHERE message_id IN"
            " (SELECT value FROM json_each(?)))",
            (json.dumps(list(answers)),),
        )
        for word in self._telltale():
            self._store.execute(
                "DELETE FROM episodes WHERE id IN (SELECT rowid FROM episode_words WHERE episode_words MATCH ?)",
                (_quoted(word),),
            )

    def _clean_examples(self) -> None:
        """Those that rest on what went are gone already (a trigger); these say it though they rest on other words."""
        lost = {stem(word) for word in self._lost_words()}
        for id, *parts in self._store.tuples("SELECT id, prompt, chosen, rejected FROM learning_examples"):
            said = " ".join(text for text in parts if text)
            if content(said) & lost or self._gives_away(said) or self._repeats(said):
                self._store.execute("DELETE FROM learning_examples WHERE id = ?", (id,))

    def _given(self) -> set[int]:
        rows = self._store.tuples(
            "SELECT id FROM messages WHERE role = 'assistant' AND recalled != '[]' AND EXISTS (SELECT 1 FROM"
            " json_each(recalled) AS given WHERE given.value IN (SELECT value FROM json_each(?)))",
            (json.dumps(self._ids),),
        )
        return {row[0] for row in rows}

    def _matching(self, query: str) -> set[int]:
        rows = self._store.tuples("SELECT rowid FROM message_words WHERE message_words MATCH ?", (query,))
        return {row[0] for row in rows}

    def _lost_words(self) -> set[str]:
        """Words that nobody but Mnemon tells now that the memories are removed; a question tells nothing."""
        if self._lost is None:
            self._lost = {word for word in self._words if not self._said(word)}
        return self._lost

    def _said(self, word: str) -> bool:
        told = self._store.tuples(
            "SELECT messages.text FROM message_words JOIN messages ON messages.id = message_words.rowid"
            " WHERE message_words MATCH ? AND messages.role != 'assistant' LIMIT ?",
            (_quoted(word), _STILL_SAID),
        )
        if len(told) == _STILL_SAID or any(not is_plain_question(text) for (text,) in told):
            return True
        return bool(
            self._store.tuples(
                "SELECT 1 FROM fact_words JOIN facts ON facts.id = fact_words.rowid"
                " WHERE fact_words MATCH ? AND facts.source_id IS NULL LIMIT 1",
                (_quoted(word),),
            )
        )

    def _telltale(self) -> set[str]:
        """Lost words that give it away wherever they stand: names, values, long numbers."""
        return {
            word
            for word in self._lost_words()
            if word in self._names or word in self._values or sum(map(str.isdigit, word)) >= _LONG_NUMBER
        }

    def _gives_away(self, text: str) -> bool:
        return not self._telltale().isdisjoint(plain_words(text))

    def _repeats(self, text: str) -> bool:
        flat = _flat(text)
        return any(len(content(copy)) > 1 and _flat(copy) in flat for copy in self._texts)


def _telling(text: str) -> Iterable[str]:
    """The words of a text that say something, lower-case, without their possessive endings."""
    return (word for word in plain_words(text) if word and word not in STOP_WORDS and word not in FUNCTION_WORDS)


def _quoted(word: str) -> str:
    return '"' + word.replace('"', '""') + '"'


def _phrase(text: str) -> str:
    """The beginning of a text as a phrase for FTS5; empty when it says too little to be looked for."""
    beginning = " ".join(re.findall(r"[^\W_]+", text)[:_PHRASE_WORDS])
    return _quoted(beginning) if len(content(beginning)) > 1 else ""


def _flat(text: str) -> str:
    flat = " ".join(re.findall(r"[^\W_]+", text.casefold()))
    return f" {flat} "
