"""Private values that somebody hides, or that a careless reader would miss; and hostile texts."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemon.errors import InputError
from mnemon.memory.memory import Memory
from mnemon.privacy import introduced, rules
from mnemon.privacy.disguise import in_encoded, seen
from mnemon.privacy.guard import LONGEST, Guard


@pytest.fixture(scope="module")
def guard() -> Iterator[Guard]:
    with Memory.temporary() as memory:
        for told in (
            "The user's sister is called Anna Ferrer and lives in Leiden.",
            "The user's wife is called Анна Петрова",
            "The user's boss is called 田中さくら",
            "The user's membership number is D2538543.",
            "The user tore a ligament and is waiting for a hip replacement.",
        ):
            memory.facts.add(told, origin="owner")
        yield Guard(memory)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("\N{CYRILLIC CAPITAL LETTER A}nna", "PERSON"),
        ("An\u200bna Fer\u00adrer", "PERSON"),
        ("A n n a  F e r r e r", "PERSON"),
        ("a-n-n-a", "PERSON"),
        ("annaferrer", "PERSON"),
        ("Анна Петрова", "PERSON"),
        ("𝐀𝐧𝐧𝐚 Ferrer", "PERSON"),
        ("d253-8543", "ID"),
        ("4\u200b111 1111 1111 1111", "CARD"),
        ("٤١١١ ١١١١ ١١١١ ١١١١", "CARD"),
        ("４１１１１１１１１１１１１１１１", "CARD"),
        ("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "CARD"),
        (base64.b64encode(b"card 4111111111111111").decode(), "CARD"),
        (base64.urlsafe_b64encode(b"my sister Anna Ferrer").decode().rstrip("="), "PERSON"),
        ("jo%40mail.example", "EMAIL"),
        ("jo [at] mail [dot] example", "EMAIL"),
        ("hip replacement", "HEALTH"),
    ],
)
def test_a_disguise_does_not_help(guard: Guard, text: str, kind: str) -> None:
    outgoing = guard.prepare(f"About {text}: what now?")
    assert outgoing.text == f"About [{kind}_1]: what now?"
    assert outgoing.restorer.restore(outgoing.text) == f"About {text}: what now?"


def test_a_name_without_spaces_around_it_goes_and_the_rest_stays(guard: Guard) -> None:
    assert guard.prepare("田中さくらさんはどこ").text == "[PERSON_1]さんはどこ"


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("org", "My claim with Corvid Assurance was turned down.", "Corvid Assurance"),
        ("org", "Tarn & Sons Ltd sent a bill.", "Tarn & Sons Ltd"),
        ("org", "I was laid off by Ostrava Robotics in May", "Ostrava Robotics"),
        ("place", "We moved back to Varberg last year.", "Varberg"),
        ("place", "my grandmother in Ilfracombe", "Ilfracombe"),
        ("person", "our lodger Tamsin", "Tamsin"),
        ("health", "Dad has to eat less salt since the stroke, what about his bread?", "stroke"),
        ("health", "What can I drink with high blood pressure?", "high blood pressure"),
        ("health", "As a diabetic I need snacks.", "diabetic"),
        ("health", "she broke off training with a torn hamstring", "torn hamstring"),
    ],
)
def test_what_says_itself_whose_it_is(kind: str, text: str, value: str) -> None:
    found = [*rules.find(text), *introduced.introduced(text)]
    assert (kind, value) in {(f.kind, f.value) for f in found}


@pytest.mark.parametrize(
    "text",
    [
        "Which is safer, Deutsche Bank or Barclays Bank?",
        "What should I see on my trip to Lisbon?",
        "How does insulin treat diabetes?",
        "I have to write an essay on the history of epilepsy.",
        "Who founded Rolls-Royce Motors?",
        "I moved to Norway.",
        "Is 4111 1111 1111 1112 a valid visa 4111 1111 1111 1112?",
        "Explain the Bayes Group of theorems",
    ],
)
def test_what_is_nobodys_own_stays(text: str) -> None:
    assert not [*rules.find(text), *introduced.introduced(text)]


@given(st.text(max_size=200))
def test_what_is_seen_knows_where_it_stood(text: str) -> None:
    view = seen(text)
    places = view.places if view.places is not None else range(len(text))
    assert len(view.text) == len(places)
    assert list(places) == sorted(set(places))
    assert in_encoded(view.text, lambda _: []) == []


def test_every_repetition_in_a_rule_has_an_end() -> None:
    """So that time is in proportion to length: no text makes a pattern go back over what it has read."""
    patterns = {rule.name: rule.pattern for rule in rules.RULES}
    patterns |= {name: one for name, one in vars(introduced).items() if isinstance(one, re.Pattern)}
    endless = {name for name, one in patterns.items() if _is_endless(one)}
    assert endless == {"_ENDS_NAME"}  # read of a single name


def _is_endless(pattern: re.Pattern[str]) -> bool:
    from re import _constants, _parser  # type: ignore[attr-defined]

    def within(part: Any) -> bool:
        if isinstance(part, _parser.SubPattern):
            return any(within(argument) for _, argument in part)
        if isinstance(part, tuple) and len(part) == 3 and part[1] is _constants.MAXREPEAT:
            return True
        return isinstance(part, tuple | list) and any(within(one) for one in part)

    return within(_parser.parse(pattern.pattern, pattern.flags))


def test_more_than_any_server_takes_is_refused_before_it_is_read(guard: Guard) -> None:
    with pytest.raises(InputError, match="more than may leave"):
        guard.prepare("4" * (LONGEST + 1))


@pytest.mark.parametrize("piece", ["id id ", "my sister Ines ", "A", "1 ", "%41", "https://a?", "QW5uYSBGZXJyZXI= "])
def test_hostile_texts_come_to_an_end(guard: Guard, piece: str) -> None:
    text = piece * (6_000 // len(piece))
    outgoing = guard.prepare(text)
    assert outgoing.restorer.restore(outgoing.text) == text
