"""Made-up values of every kind: names, places, titles, codes, days. They never run out; the splits share none.

A word or phrase belongs to the held-out cases when a hash of it says so, whatever list or generator it comes from.
What is put together ("14 Thornfield Close") is made of parts of one split. Kinds with a handful of values (weekdays,
months, relations, ages) are the same in both.
"""

from __future__ import annotations

import functools
import random
import tomllib
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

Split = Literal["train", "heldout"]

HELD_OUT_ONE_IN = 7
MONTHS = "January February March April May June July August September October November December".split()
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
SEASONS = ("spring", "summer", "autumn", "winter")

# Who and what a fact is about, not what it says: the same in both splits.
SHARED = frozenset(
    """
    relative acquaintance pet number_name item activity appointment business named_thing sized blood_type budgeted
    """.split()
)
STRANGE_SHARE = 0.35
"""Of listed values, where there are pieces to make others of."""
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"


def split_of(value: str) -> Split:
    """The split a word or phrase belongs to."""
    return "heldout" if zlib.crc32(value.casefold().encode()) % HELD_OUT_ONE_IN == 0 else "train"


@functools.cache
def inventory(kind: str, split: Split) -> tuple[str, ...]:
    """The listed values of ``kind`` that belong to ``split``."""
    listed = _inventories()[kind]
    return listed if kind in SHARED else tuple(value for value in listed if split_of(value) == split)


@functools.cache
def _inventories() -> dict[str, tuple[str, ...]]:
    raw: dict[str, str] = tomllib.loads(Path(__file__).with_name("inventories.toml").read_text("utf-8"))
    return {
        kind: tuple(
            dict.fromkeys(" ".join(part.split()) for part in (text.split(",") if "," in text else text.split()))
        )
        for kind, text in raw.items()
    }


class Values:
    """Draws values of one split.

    Args:
        rng: Where chance comes from.
        split: The split they belong to.
        pieces: Parts of words. Where there are some, they take the place of a share of the listed values: lists
            hold a few thousand different tokens, and a token that was never copied in training is stuttered
            ("medievalvalvalval"), which was most of what went wrong with values never seen before.
    """

    def __init__(self, rng: random.Random, split: Split, pieces: Sequence[str] = ()) -> None:
        self.rng = rng
        self.split = split
        self.pieces = pieces
        self._makers: dict[str, Callable[[], str]] = {
            name.removeprefix("_a_"): getattr(self, name) for name in dir(self) if name.startswith("_a_")
        }

    def draw(self, kind: str) -> str:
        """A value of ``kind``: of the generator with that name, else of the list."""
        make = self._makers.get(kind)
        return make() if make else self.listed(kind)

    def listed(self, kind: str) -> str:
        """A value from the list of ``kind``, or one as long that nobody has heard of."""
        value = self.rng.choice(inventory(kind, self.split))
        if not self.pieces or kind in SHARED or self.rng.random() > STRANGE_SHARE:
            return value
        return " ".join(self.strange(capital=word[:1].isupper()) for word in value.split())

    def strange(self, *, capital: bool) -> str:
        """One to three pieces together."""

        def word() -> str:
            made = "".join(self.rng.choices(self.pieces, k=self.rng.choice((1, 1, 2, 2, 3))))
            return made.capitalize() if capital else made

        return self._ours(word)

    def _ours(self, make: Callable[[], str]) -> str:
        """What ``make`` makes, as soon as it belongs to this split."""
        while True:
            made = make()
            if split_of(made) == self.split:
                return made

    def invented(self, syllables: int) -> str:
        """A capitalised word nobody has heard of."""

        def word() -> str:
            parts = []
            for place in range(syllables):
                onset = self.rng.choice(_ONSETS)
                coda = self.rng.choice(_CODAS) if place == syllables - 1 or self.rng.random() < 0.25 else ""
                parts.append(onset + self.rng.choice(_VOWELS) + coda)
            return "".join(parts).capitalize()

        return self._ours(word)

    def _a_first_name(self) -> str:
        if self.rng.random() < 0.7:
            return self.listed("first_name")
        return self.invented(self.rng.choice((2, 2, 3)))

    def _a_last_name(self) -> str:
        return self.listed("last_name") if self.rng.random() < 0.7 else self.invented(2)

    def _a_person(self) -> str:
        roll = self.rng.random()
        if roll < 0.5:
            return self._a_first_name()
        if roll < 0.92:
            return f"{self._a_first_name()} {self._a_last_name()}"
        return f"{self._a_first_name()} {self.listed('first_name')} {self._a_last_name()}"

    def _a_full_name(self) -> str:
        return f"{self._a_first_name()} {self._a_last_name()}"

    def _a_professional(self) -> str:
        """Somebody one knows by surname, or by name."""
        if self.rng.random() < 0.5:
            return self._a_person()
        return f"{self.rng.choice(('Dr', 'Mr', 'Ms', 'Mrs', 'Professor'))} {self._a_last_name()}"

    def _a_pet_name(self) -> str:
        roll = self.rng.random()
        if roll < 0.6:
            return self.listed("pet_name")
        if roll < 0.8:
            return self.invented(2)
        if roll < 0.9:
            return f"{self.listed('pet_name')} {self.listed('noun')}"
        return f"{self.rng.choice(_PET_TITLES)} {self.listed('pet_name')}"

    def _a_place(self) -> str:
        roll = self.rng.random()
        if roll < 0.6:
            return self.listed("place")
        if roll < 0.82:
            return self._town()
        if roll < 0.92:
            return (
                f"{self.rng.choice(('Upper', 'Lower', 'Great', 'Little', 'Port', 'New', 'Old', 'St'))} {self._town()}"
            )
        return self.invented(3)

    def _town(self) -> str:
        stem = self.invented(self.rng.choice((1, 2)))
        ending = self.rng.choice(_TOWN_ENDINGS)
        return self._ours_or(stem + ending, lambda: self.invented(2) + ending)

    def _ours_or(self, first: str, make: Callable[[], str]) -> str:
        return first if split_of(first) == self.split else self._ours(make)

    def _a_street(self) -> str:
        name = self.rng.choice((self._town, self._a_last_name, lambda: self.listed("noun")))()
        return f"{name} {self.listed_shared('street_kind')}"

    def _a_address(self) -> str:
        flat = f"Flat {self.rng.randint(1, 30)}, " if self.rng.random() < 0.2 else ""
        return f"{flat}{self.rng.randint(1, 199)} {self._a_street()}"

    def listed_shared(self, kind: str) -> str:
        """A part of a name that both splits use, such as "Street"."""
        return self.rng.choice(_inventories()[kind])

    def _a_company(self) -> str:
        roll = self.rng.random()
        name = self._a_last_name() if roll < 0.4 else self.invented(2) if roll < 0.8 else self.listed("place")
        if roll < 0.12:
            return f"{name} & {self._a_last_name()}"
        if roll > 0.95:
            return f"{name} {self.listed('adjective')} {self.listed_shared('workplace_kind')}"
        return f"{name} {self.listed_shared('workplace_kind')}"

    def _a_brand(self) -> str:
        """A business of any kind, known by its name."""
        roll = self.rng.random()
        if roll < 0.4:
            return self.invented(self.rng.choice((2, 3)))
        if roll < 0.6:
            return f"{self._a_last_name()} & {self._a_last_name()}"
        if roll < 0.8:
            return f"The {self.listed('adjective')} {self.listed('noun')}"
        return f"{self.listed('adjective')} {self.listed('noun')}"

    def _a_anything(self) -> str:
        """What a noun nobody listed may be: a thing, a name, a place, a number, a word nobody has heard of."""
        roll = self.rng.random()
        if roll < 0.3:
            return self.listed(self.rng.choice(_THINGS))
        if roll < 0.8:
            return self.draw(self.rng.choice(_NAMES))
        if roll < 0.9 and self.pieces:
            return self.strange(capital=self.rng.random() < 0.5)
        return self._a_code() if roll < 0.95 else self._a_day()

    def _a_title(self) -> str:
        """A book or film nobody wrote."""
        roll = self.rng.random()
        adjective, noun = self.listed("adjective"), self.listed("noun")
        if roll < 0.35:
            return f"The {adjective} {noun}"
        if roll < 0.5:
            return f"{adjective} {noun}"
        if roll < 0.65:
            return f"The {noun} of {self.listed('place')}"
        if roll < 0.75:
            return f"{noun} and {self.listed('noun')}"
        if roll < 0.85:
            return f"Letters to {self._a_first_name()}"
        if roll < 0.93:
            return f"The {noun} at {self._a_street()}"
        return f"{self._a_first_name()} and the {adjective} {noun}"

    def _a_band(self) -> str:
        roll = self.rng.random()
        if roll < 0.5:
            return f"The {self.listed('adjective')} {_plural(self.listed('noun'))}"
        return f"{self.listed('adjective')} {self.listed('noun')}" if roll < 0.75 else self._a_full_name()

    def _a_team(self) -> str:
        return f"{self._a_place()} {self.listed_shared('team_kind')}"

    def _a_venue(self) -> str:
        roll = self.rng.random()
        if roll < 0.35:
            return f"The {self.listed('adjective')} {self.listed('noun')}"
        name = f"{self._a_first_name()}'s" if roll < 0.6 else self._a_last_name() if roll < 0.8 else self.invented(2)
        return f"{name} {self.listed_shared('venue_kind')}"

    def _a_code(self) -> str:
        return self._ours(self._any_code)

    def _any_code(self) -> str:
        rng, roll = self.rng, self.rng.random()
        if roll < 0.4:
            return str(rng.randint(1000, 9999))
        if roll < 0.55:
            return f"{rng.choice(_LETTERS)}{rng.randint(10, 9999)}"
        if roll < 0.7:
            return f"{''.join(rng.choices(_LETTERS, k=2))}-{rng.randint(100, 9999)}"
        if roll < 0.8:
            return str(rng.randint(100000, 999999))
        if roll < 0.9:
            return f"{rng.randint(10, 99)}-{rng.randint(10, 99)}-{rng.randint(10, 99)}"
        return f"{self.listed('noun').lower()}{rng.randint(10, 999)}"

    def _a_phone(self) -> str:
        rng = self.rng
        return self._ours(lambda: f"0{rng.randint(100, 999)} {rng.randint(100, 999)} {rng.randint(100, 9999)}")

    def _a_amount(self) -> str:
        rng = self.rng
        unit = rng.choice(("pounds", "euros", "dollars"))
        return self._ours(lambda: f"{rng.choice((rng.randint(5, 99), 10 * rng.randint(10, 900)))} {unit}")

    def _a_email(self) -> str:
        name = self.rng.choice((self._a_first_name(), f"{self._a_first_name()}.{self._a_last_name()}"))
        return f"{name}@{self.invented(2)}.{self.rng.choice(('com', 'org', 'net', 'eu'))}".lower()

    def _a_room(self) -> str:
        rng = self.rng
        return self._ours(lambda: f"{rng.randint(1, 40)}{rng.choice(('', '', 'A', 'B', 'C'))}")

    def _a_day(self) -> str:
        """A day of the year: "14 August"."""
        rng = self.rng
        return self._ours(lambda: f"{rng.randint(1, 28)} {rng.choice(MONTHS)}")

    def _a_date(self) -> str:
        """A day as facts hold it, with the year."""
        return f"{self._a_day()} {self.rng.choice((2025, 2026, 2026, 2026, 2027))}"

    def _a_time(self) -> str:
        rng = self.rng

        return self._ours(lambda: _clock(rng.randint(7, 21), rng.choice((0, 0, 15, 30, 45, 5, 10, 20, 40, 50)), rng))

    def _a_early(self) -> str:
        rng = self.rng
        return self._ours(lambda: _clock(rng.randint(4, 9), rng.choice((0, 5, 10, 15, 20, 30, 40, 45, 50, 55)), rng))

    def _a_late(self) -> str:
        rng = self.rng
        return self._ours(
            lambda: _clock(rng.randint(20, 23), rng.choice((0, 5, 10, 15, 20, 30, 40, 45, 50, 55)), rng)
        )

    def _a_weekday(self) -> str:
        return self.rng.choice(WEEKDAYS)

    def _a_month(self) -> str:
        return self.rng.choice(MONTHS)

    def _a_season(self) -> str:
        return self.rng.choice(SEASONS)

    def _a_year(self) -> str:
        return str(self.rng.randint(1960, 2025))

    def _a_age(self) -> str:
        return str(self.rng.randint(18, 89))

    def _a_young_age(self) -> str:
        return str(self.rng.randint(2, 17))

    def _a_size(self) -> str:
        return str(self.rng.randint(34, 48))

    def _a_count(self) -> str:
        return self.rng.choice(("two", "three", "four", "five", "six"))

    def _a_job(self) -> str:
        job = self.listed("job")
        return with_article(job)

    def _a_a_breed(self) -> str:
        return with_article(self.listed("breed"))

    def _a_a_tree(self) -> str:
        return with_article(self.listed("tree"))

    def _a_coloured_car(self) -> str:
        return with_article(f"{self.listed('colour')} {self.listed('car')}")

    def _a_thing_name(self) -> str:
        roll = self.rng.random()
        if roll < 0.4:
            return f"{self.listed('adjective')} {self.listed('noun')}"
        return self.invented(2) if roll < 0.7 else self._a_pet_name()

    def _a_in_spot(self) -> str:
        spot = self.listed("spot")
        where = f"{'on' if spot.endswith(_SURFACES) else 'in'} the {spot}"
        roll = self.rng.random()
        if roll < 0.6:
            return where
        if roll < 0.85:
            return f"{where} {self.rng.choice(_BESIDE)} the {self.listed('landmark')}"
        if roll < 0.93:
            return f"{self.rng.choice(_BESIDE)} the {self.listed('landmark')}"
        return f"{where} at {self._a_first_name()}'s"


_THINGS = (
    "food",
    "fruit",
    "drink",
    "hobby",
    "subject",
    "colour",
    "flower",
    "animal",
    "project",
    "collected",
    "language",
)
_NAMES = ("title", "brand", "venue", "thing_name", "company", "person", "first_name", "place", "band", "team")
_ONSETS = "b br c ch cl d dr f fl g gl gr h j k kl l m n p pr qu r s sh sk st t th tr v w y z".split()
_VOWELS = "a a e e i i o o u ai ea ei ia io oa ou".split()
_CODAS = "b ck d l ll lm m n nd ng nt p r rd rn rt s st t th x".split() + [""] * 8
_SURFACES = ("table", "shelf", "desk", "stool", "rack", "sideboard")
_BESIDE = ("by", "in", "behind", "next to", "under", "above", "near", "beside", "opposite", "on top of")
_PET_TITLES = "Captain Lady Sir Miss Little Old Doctor".split()
_TOWN_ENDINGS = """
bury by combe cross dale den ford ham haven holm hurst ley low mere minster mouth ness port stead stow ton wick worth
""".split()


def with_article(words: str) -> str:
    """``words`` after "a" or "an"."""
    first = words.split()[0]
    vowel = first[0] in "aeioAEIO" or (first[0] in "uU" and not first.lower().startswith(("uni", "uku")))
    if first in ("X-ray",) or first.startswith(("IT", "MRI")):
        vowel = True
    return f"{'an' if vowel else 'a'} {words}"


def _plural(noun: str) -> str:
    if noun.endswith(("s", "x", "ch", "sh")):
        return f"{noun}es"
    return f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2] not in "aeiou" else f"{noun}s"


def _clock(hour: int, minute: int, rng: random.Random) -> str:
    """A time of day in one of the ways people write it."""
    roll = rng.random()
    if roll < 0.35:
        return f"{hour}:{minute:02}"
    half = "am" if hour < 12 else "pm"
    hour = hour % 12 or 12
    if minute:
        return f"{hour}{rng.choice('.:')}{minute:02} {half}"
    return f"{hour} {half}" if roll < 0.8 else f"{hour} o'clock"
