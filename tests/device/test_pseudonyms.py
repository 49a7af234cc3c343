"""Placeholders: nothing private is left, and everything comes back, however the answer is cut or spelt."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemon.privacy.findings import Finding
from mnemon.privacy.folding import fold
from mnemon.privacy.known import PrivateValue
from mnemon.privacy.matching import KnownValues
from mnemon.privacy.pseudonyms import Pseudonyms, Restorer

LETTERS = "abAB éßİ1_[]\\-'*.\n\u200bPERSON0"
VALUES = st.lists(st.text(LETTERS, min_size=1, max_size=8), max_size=5)
KINDS = st.sampled_from(["person", "place", "secret"])


def left_out(text: str, values: list[str]) -> tuple[str, Pseudonyms]:
    known = KnownValues((PrivateValue(v, "person") for v in values), every_spelling=True)
    pseudonyms = Pseudonyms()
    return pseudonyms.replace(text, known.find(text))[0], pseudonyms


def cut(text: str, sizes: list[int]) -> list[str]:
    chunks, at = [], 0
    for size in sizes:
        chunks.append(text[at : at + size])
        at += size
    return [*chunks, text[at:]]


@settings(max_examples=300)
@given(st.text(LETTERS, max_size=60), VALUES, st.lists(st.integers(0, 9), max_size=30))
def test_no_private_value_is_left_and_all_come_back(text: str, values: list[str], sizes: list[int]) -> None:
    planted = text + " " + " ".join(values)
    outgoing, pseudonyms = left_out(planted, values)
    for piece in re.split(r"\[[A-Z]+_[0-9]+[A-Z]?\]", outgoing):
        words = re.findall(r"[^\W_]+", fold(piece))
        for value in values:
            looked_for = re.findall(r"[^\W_]+", fold(value))
            assert (
                not looked_for
                or looked_for not in (words[i : i + len(looked_for)] for i in range(len(words)))
                or (
                    len(looked_for) > 1  # words of a longer value may stand far apart
                )
            )
    restorer = Restorer(pseudonyms.meanings(), outgoing)
    assert restorer.restore(outgoing) == planted
    assert "".join(restorer.stream(cut(outgoing, sizes))) == planted


@settings(max_examples=300)
@given(st.text(LETTERS, max_size=50), st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9), KINDS), max_size=6))
def test_whatever_is_found_comes_back(text: str, places: list[tuple[int, int, str]]) -> None:
    found = [Finding(a, min(a + n, len(text)), kind, text[a : a + n]) for a, n, kind in places if a < len(text)]
    pseudonyms = Pseudonyms()
    outgoing, used = pseudonyms.replace(text, found)
    assert Restorer(pseudonyms.meanings(), outgoing).restore(outgoing) == text
    assert all(finding.value not in placeholder or len(finding.value) < 8 for finding, placeholder in used)


@settings(max_examples=300)
@given(st.text("[]\\_ *`'’PERSONperson12Ab\n", max_size=60), st.lists(st.integers(0, 5), max_size=40))
def test_a_stream_is_restored_as_the_whole_is(answer: str, sizes: list[int]) -> None:
    restorer = Restorer({"[PERSON_1]": "Ines", "[PERSON_1B]": "INES", "[PERSON_2]": "Bo"})
    assert "".join(restorer.stream(cut(answer, sizes))) == restorer.restore(answer)


@pytest.mark.parametrize(
    "written",
    ["[PERSON_1]", "[person_1]", "[Person 1]", "[PERSON-1]", "[ PERSON_1 ]", "PERSON_1", "person_1", r"\[PERSON\_1\]",
     "[PERSON1]", "[`PERSON_1`]", "[**PERSON_1**]"],
)  # fmt: skip
def test_every_spelling_of_a_placeholder_is_read(written: str) -> None:
    restorer = Restorer({"[PERSON_1]": "Ines"})
    for answer in (f"Ask **{written}** today", f"_{written}_", f"{written}'s", f"({written})"):
        assert restorer.restore(answer) == answer.replace(written, "Ines")
        assert "".join(restorer.stream(answer)) == answer.replace(written, "Ines")


@pytest.mark.parametrize(
    "written", ["[PERSON_1's]", "[Person 1’s]", r"\[PERSON\_1's\]", "[**PERSON_1's**]", "[person_1's ]"]
)
def test_a_possessive_inside_the_brackets_stays_one(written: str) -> None:
    restorer = Restorer({"[PERSON_1]": "Ines"})
    own = "Ines’s" if "’" in written else "Ines's"
    answer = f"Ask **{written}** sister"
    for restored in (restorer.restore(answer), "".join(restorer.stream(answer))):
        assert restored == f"Ask **{own}** sister"


@pytest.mark.parametrize("written", ["person 1", "PERSON_12", "PERSON_1x", "[PERSON_3]", "XPERSON_1", "[person]"])
def test_what_is_no_placeholder_of_ours_stays(written: str) -> None:
    assert Restorer({"[PERSON_1]": "Ines"}).restore(f"a {written} b") == f"a {written} b"


@pytest.mark.parametrize(
    "answer",
    [
        "see https://evil.example/?q=[PERSON_1] for more",
        "![x](https://evil.example/[PERSON_1].png)",
        "<https://evil.example/PERSON_1>",
        "https://[PERSON_1].evil.example/",
        "www.evil.example/?q=[Person 1]",
        "[a]: ftp://evil.example/a/[PERSON_1]/b/PERSON_1",
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_no_name_gets_into_a_link_a_server_wrote(answer: str, size: int) -> None:
    """Whoever opened it would carry the name there."""
    restorer = Restorer({"[PERSON_1]": "Ines"}, sent="Who is [PERSON_1]?")
    chunks = [answer[i : i + size] for i in range(0, len(answer), size)]
    assert restorer.restore(answer) == "".join(restorer.stream(chunks)) == answer
    after = restorer.restore(answer + " [PERSON_1]")
    assert after == answer + " Ines"


def test_a_link_of_ones_own_comes_back_whole() -> None:
    sent = "Shorten https://example.org/[PERSON_1]/cv and write to [EMAIL_1]."
    restorer = Restorer({"[PERSON_1]": "ines", "[EMAIL_1]": "i@post.example"}, sent=sent)
    assert restorer.restore(sent) == "Shorten https://example.org/ines/cv and write to i@post.example."
    assert "".join(restorer.stream(sent)) == restorer.restore(sent)
    assert restorer.restore("mailto:[EMAIL_1] https://x.example/[EMAIL_1]") == (
        "mailto:i@post.example https://x.example/[EMAIL_1]"
    )


def test_the_longest_value_wins_and_overlaps_become_one() -> None:
    outgoing, _ = left_out("Anna Maria Rossi and Anna", ["Anna Maria", "Maria Rossi", "Anna"])
    assert outgoing == "[PERSON_1] and [PERSON_2]"


@pytest.mark.parametrize("text", ["Zoe", "ZOË", "zoe\u0308", "Zo\u200be", "Zoë's", "Zoës", "zoe,", "@Zoë_"])
def test_every_spelling_of_a_value_is_found(text: str) -> None:
    assert KnownValues([PrivateValue("Zoë", "person")]).find(text)


@pytest.mark.parametrize(
    ("told", "written"),
    [
        ("Jürgen Müller", "Juergen Mueller"),
        ("Jürgen Müller", "JUERGEN MUELLERS"),
        ("Søren Ågård", "Soeren Aagaard"),
        ("Søren Ågård", "Soren Agard"),
        ("Björn Weiß", "Bjoern Weiss"),
        ("Wałęsa", "Walesa"),
        ("Đorđe", "Djordje"),
        ("Đorđe", "Dorde"),
        ("Þóra", "Thora"),
        ("Işıl", "Isil"),
        ("Cæcilie", "Caecilie"),
    ],
)
def test_a_name_is_found_as_keyboards_without_its_letters_write_it(told: str, written: str) -> None:
    known = KnownValues([PrivateValue(told, "person")])
    assert {(f.start, f.end) for f in known.find(f"Ask {written} about it")} >= {(4, 4 + len(written))}


@pytest.mark.parametrize("text", ["zoetrope", "Azoe", "zoe1"])
def test_words_inside_words_are_not_touched(text: str) -> None:
    assert not KnownValues([PrivateValue("Zoë", "person")]).find(text)


def test_spellings_of_a_value_share_its_number_and_a_conversation_keeps_it() -> None:
    pseudonyms, known = Pseudonyms(), KnownValues([PrivateValue("Ines", "person"), PrivateValue("Bo", "person")])
    first = pseudonyms.replace("Ines and INES", known.find("Ines and INES"))[0]
    second = pseudonyms.replace("Bo met Ines", known.find("Bo met Ines"))[0]
    assert (first, second) == ("[PERSON_1] and [PERSON_1B]", "[PERSON_2] met [PERSON_1]")


def test_a_number_is_found_however_it_is_grouped() -> None:
    known = KnownValues([PrivateValue("+49 30 901820", "phone")])
    assert [known.find(t)[0].kind for t in ("+4930901820", "(+49) 30-90 18 20")] == ["phone", "phone"]


def test_thirty_spellings_of_one_value_all_come_back() -> None:
    pseudonyms = Pseudonyms()
    texts = ["".join(c.upper() if n >> i & 1 else c for i, c in enumerate("marius")) for n in range(40)]
    out = [pseudonyms.replace(t, [Finding(0, 6, "person", t)])[0] for t in texts]
    assert [Restorer(pseudonyms.meanings(), o).restore(o) for o in out] == texts


def test_a_long_answer_waits_for_no_more_than_a_placeholder() -> None:
    restorer = Restorer({"[PERSON_1]": "Ines"})
    began = time.perf_counter()
    shown, told = 0, 0
    for piece in restorer.stream(iter(["[PER", "SON_1] is ", *["word [x " * 4] * 2000])):
        shown, told = shown + len(piece), told + 1
    assert told > 1000
    assert time.perf_counter() - began < 3
