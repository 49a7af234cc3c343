"""Prompts with private values planted in them: invented, and written as people (or somebody who hides them) write."""

from __future__ import annotations

import random
from dataclasses import dataclass

from mnemon.privacy import checks

_FIRST = (
    "Ilse Tomasz Oluwa Fatima Brigid Hana Matteo Svetlana Dilnoza Ruairi Noémie Agnès Jürgen Zoë Imke Raúl".split()
)
_SYLLABLES = "ba ko ri len ta mo ver din sa hol gar pe lu nor tik wen dra fi zan or".split()
_STREETS = "Street,Road,Avenue,Lane,Close,Terrace".split(",")
_FRAMES = (
    "Write a card to {0} for me, and mention {1}. I also have to tell {2} about it; reach us via {3} or {4}.",
    "{0} says {1} is wrong. Who is right, {2} or the others? For the form: {3}, {4}.",
    "Draft a letter. It goes to {0}; say that {1} agreed. Put {2} in the second line, then {3} and finally {4}!",
    "please check this: {0} / {1} / {2} -- it was sent with {3} and with {4}",
    "Why would {0} refuse?\nI asked {1}, I asked {2}.\nNotes: {3}\nMore: {4}\nWhat should I do next?",
)


@dataclass(frozen=True, slots=True)
class Planted:
    """A prompt and the values in it, as written there."""

    text: str
    known: tuple[str, ...]
    by_form: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class World:
    """What the owner told, as facts, and the values in it."""

    facts: tuple[str, ...]
    names: tuple[str, ...]
    numbers: tuple[str, ...]


def world(chance: random.Random, size: int = 30) -> World:
    facts, names, numbers = [], [], []
    for i in range(size):
        person, place = f"{_FIRST[i % len(_FIRST)]} {_invented(chance)}", _invented(chance)
        firm = f"{_invented(chance)} {chance.choice(('Marine', 'Labs', 'Printers', 'Foods'))}"
        phone = f"+44 7700 900{chance.randrange(100, 1000)}"
        member = f"{chance.choice('ABCD')}{chance.randrange(10**6, 10**7)}"
        relative = chance.choice("sister brother boss neighbour cousin friend colleague".split())
        facts += [
            f"The user's {relative} is called {person} and lives in {place}.",
            f"The user's {relative} works for {firm}.",
            f"The user's {relative}'s phone number is {phone}.",
            f"The user's membership number is {member}.",
        ]
        names += [person, place, firm]
        numbers += [phone, member]
    return World(tuple(facts), tuple(names), tuple(numbers))


def prompts(known: World, chance: random.Random, count: int) -> list[Planted]:
    """``count`` prompts of five values each: from memory three and two, or two and three, in turn."""
    made = []
    for i in range(count):
        told = [_written(chance.choice(known.names), chance) for _ in range(2)]
        if i % 2:
            told.append(_spaced(chance.choice(known.numbers), chance))
        forms = [chance.choice(FORMS)(chance) for _ in range(5 - len(told))]
        values = [*told, *(f"{lead} {value}".strip() for _, lead, value in forms)]
        frame = chance.choice(_FRAMES)
        made.append(Planted(frame.format(*values), tuple(told), tuple((kind, value) for kind, _, value in forms)))
    return made


def in_pieces(text: str, chance: random.Random) -> list[str]:
    """As a stream brings it: cut anywhere."""
    pieces = []
    while text:
        size = chance.randrange(1, 9)
        pieces.append(text[:size])
        text = text[size:]
    return pieces


def _invented(chance: random.Random) -> str:
    return "".join(chance.choice(_SYLLABLES) for _ in range(3)).capitalize()


def _written(name: str, chance: random.Random) -> str:
    return chance.choice(
        (
            name,
            name,
            name.upper(),
            name.lower(),
            f"{name}'s",
            f"{name}’s",
            name.replace(" ", "\N{NO-BREAK SPACE}"),
            name.replace(" ", "-"),
            name.replace(" ", "\n"),
            name.replace("a", "á", 1),
            f"{name[:3]}\N{ZERO WIDTH SPACE}{name[3:]}",
            f"{name[:2]}\N{SOFT HYPHEN}{name[2:]}",
            name.replace("o", "\N{CYRILLIC SMALL LETTER O}", 1),
            name.replace(" ", ""),
            " ".join(name.replace(" ", "")),
        )
    )


def _spaced(number: str, chance: random.Random) -> str:
    plain = number.replace(" ", "")
    return chance.choice((number, plain, number.replace(" ", "-"), " ".join(plain), f"{plain[:4]} {plain[4:]}"))


def _luhn(first: str, chance: random.Random, length: int) -> str:
    body = first + "".join(chance.choice("0123456789") for _ in range(length - len(first) - 1))
    return next(body + d for d in "0123456789" if checks.luhn(body + d))


def _card(chance: random.Random) -> tuple[str, str, str]:
    card = _luhn(chance.choice("45"), chance, 16)
    mark = chance.choice(("", " ", "-"))
    return "card", chance.choice(("", "my card", "paid with")), mark.join(card[i : i + 4] for i in range(0, 16, 4))


def _iban(chance: random.Random) -> tuple[str, str, str]:
    account = "".join(chance.choice("0123456789") for _ in range(18))
    code = next(f"DE{d:02}{account}" for d in range(2, 99) if checks.iban(f"DE{d:02}{account}"))
    if chance.random() < 0.5:
        code = " ".join(code[i : i + 4] for i in range(0, 22, 4))
    return "iban", "", code.lower() if chance.random() < 0.3 else code


def _email(chance: random.Random) -> tuple[str, str, str]:
    who, host = _invented(chance).lower(), _invented(chance).lower()
    return (
        "email",
        "",
        chance.choice(
            (f"{who}@{host}.example", f"{who.upper()}+x@{host}.co.example", f"{who} [at] {host} [dot] org")
        ),
    )


def _phone(chance: random.Random) -> tuple[str, str, str]:
    tail = "".join(chance.choice("0123456789") for _ in range(6))
    return (
        "phone",
        "",
        chance.choice(
            (
                f"+49 151 {tail}12",
                f"020 7946 0{tail[:3]}",
                f"(212) 555-01{tail[:2]}",
                f"+1-415-555-01{tail[:2]}",
                f"07700 {tail}",
            )
        ),
    )


def _id(chance: random.Random) -> tuple[str, str, str]:
    nine = "".join(chance.choice("123456789") for _ in range(9))
    return (
        "id",
        chance.choice(("passport number", "policy no.", "my patient id:", "NHS number")),
        (f"{nine[:3]} {nine[3:6]} {nine[5:]}" if chance.random() < 0.3 else nine + nine[0]),
    )


def _address(chance: random.Random) -> tuple[str, str, str]:
    return "address", "", f"{chance.randrange(1, 300)} {_invented(chance)} {chance.choice(_STREETS)}"


def _ip(chance: random.Random) -> tuple[str, str, str]:
    return "ip", "", ".".join(str(chance.randrange(11, 250)) for _ in range(4))


def _secret(chance: random.Random) -> tuple[str, str, str]:
    key = "".join(chance.choice("abcdefghijkmnpqrstuvwxyzABCDEFGH23456789") for _ in range(36))
    return chance.choice(
        (("secret", "", f"ghp_{key}"), ("secret", "the password is", f"{key[:9]}7!x"), ("secret", "api_key =", key))
    )


def _born(chance: random.Random) -> tuple[str, str, str]:
    day, year = chance.randrange(1, 29), chance.randrange(1940, 2015)
    return (
        "date",
        chance.choice(("born on", "date of birth:", "DOB")),
        chance.choice((f"{day} March {year}", f"{day:02}/04/{year}", f"{year}-07-{day:02}")),
    )


def _person(chance: random.Random) -> tuple[str, str, str]:
    lead = chance.choice(("my friend", "Dr", "my daughter", "Mrs", "my landlord"))
    return "person", lead, _invented(chance)


def _link(chance: random.Random) -> tuple[str, str, str]:
    return "url", "", f"https://files.example.org/{_invented(chance)}?token={chance.randrange(10**9)}"


FORMS = (_card, _iban, _email, _phone, _id, _address, _ip, _secret, _born, _person, _link)
