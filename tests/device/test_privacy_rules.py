"""Pattern rules: what each must find, and what merely looks like it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemon.privacy import checks, rules
from mnemon.privacy.findings import KINDS


def kinds(text: str) -> set[str]:
    return {finding.kind for finding in rules.find(text)}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("card", "pay with 4111 1111 1111 1111"),
        ("card", "3782-822463-10005"),
        ("iban", "GB82 WEST 1234 5698 7654 32"),
        ("iban", "de89370400440532013000"),
        ("email", "write to jo.b+x@post.example.org."),
        ("phone", "+44 20 7946 0958"),
        ("phone", "ring 020 7946 0958 tonight"),
        ("phone", "(212) 555-0147"),
        ("phone", "06 12 34 56 78"),
        ("id", "my ssn 219-09-9999"),
        ("id", "12345678Z"),
        ("id", "529.982.247-25"),
        ("id", "passport number 533401372"),
        ("ip", "the box at 203.0.113.7 is down"),
        ("ip", "2001:db8::8a2e:370:7334"),
        ("device", "00:1B:44:11:3A:B7"),
        ("address", "I moved to 12 Elder Street"),
        ("address", "SW1A 1AA"),
        ("address", "Lindenstraße 14"),
        ("address", "12 rue des Lilas"),
        ("address", "Denver, CO 80203"),
        ("date", "she was born on 3 May 1990"),
        ("date", "DOB: 1990-05-03"),
        ("plate", "AB12 CDE"),
        ("plate", "number plate HX 4471"),
        ("secret", "AKIAIOSFODNN7EXAMPLE"),
        ("secret", "the password is hunter2!"),
        ("secret", "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----"),
        ("secret", "my PIN is 4471"),
        ("secret", "Authorization: Bearer abcdef0123456789abcdef"),
        ("location", "meet at 51.5033, -0.1196"),
        ("url", "https://example.org/file?token=abc123def"),
        ("url", "postgres://me:pw@db.example.org/x"),
        ("url", "https://hooks.example.org/services/T0AB12CD3/B0XY98ZW7/aGVsbG8gd29ybGQxMjM0NTY3"),
        ("url", "https://chat.example.org/api/webhooks/112233445566778899/aBcD-eFgHiJkLmNoPqRsTuVwXyZ_012345"),
        ("url", "https://files.example.org/s/k3yV9xQ2mP8t"),
        ("health", "I was diagnosed with epilepsy"),
        ("health", "my depression is back"),
    ],
)
def test_found(kind: str, text: str) -> None:
    assert kind in kinds(text)


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112 is no card",
        "from 1939-1945 and in 2024",
        "it costs $1,299.00 or 12 000 kr",
        "GB82 WEST 1234 5698 7654 33",
        "version 1.2.3.4567 and 3.14159",
        "on 3 May 1990 the law changed",
        "what is epilepsy?",
        "127.0.0.1",
        "how does a password manager work?",
        "666-12-3456",
        "https://example.org/?page=2",
        "https://en.example.org/wiki/Boeing_747-8_Intercontinental#History2",
        "https://code.example.org/project/commit/6f8d96c2646fdf741409f2646fdf741409fabc1d",
        "https://docs.example.org/en/latest/HowToUseTheAPI2WithPython",
        "https://shop.example.org/dp/B00X4WHP55",
        "https://example.org/fishing/hooks",
        "add 250 g of flour at 180 degrees",
        "RFC 9106 and ISO 7064",
    ],
)
def test_left_alone(text: str) -> None:
    assert not kinds(text)


@given(st.integers(10**14, 10**15 - 1))
def test_one_wrong_digit_breaks_a_card(number: int) -> None:
    card = next(f"{number}{d}" for d in range(10) if checks.luhn(f"{number}{d}") or d == 9)
    if checks.luhn(card):
        assert not checks.luhn(str((int(card[0]) + 1) % 10) + card[1:])


@given(st.text(max_size=30))
def test_checks_take_any_text(text: str) -> None:
    for check in (checks.luhn, checks.iban, checks.address, checks.phone, checks.aadhaar, checks.cpf):
        assert check(text) in (True, False)


def test_rules_are_of_known_kinds_and_named_once() -> None:
    assert {rule.kind for rule in rules.RULES} <= set(KINDS)
    assert len({rule.name for rule in rules.RULES}) == len(rules.RULES)
