# ruff: noqa: E501 - a rule reads best with its pattern on one line
"""Numbers that lead to one person: cards, accounts, national and customer numbers, telephones, machines, plates."""

from __future__ import annotations

import re
from typing import Final

from mnemon.privacy import checks
from mnemon.privacy.pattern import IS, B, E, PatternRule, rule

_FOURS = re.compile(r"\d{4}(?: \d{4}){3}")


def _ibans() -> str:
    """A pattern for each length: one that does not know where to end takes the next word along."""
    by_length: dict[int, list[str]] = {}
    for country, length in checks.IBAN_LENGTHS.items():
        by_length.setdefault(length, []).append(country)
    return "|".join(
        rf"(?:{'|'.join(countries)})(?:[ -]?\d){{2}}(?:[ -]?[A-Z0-9]){{{length - 4}}}"
        for length, countries in by_length.items()
    )


def _numbered(value: str) -> bool:
    """Whether a word beside "policy", "visa" … is a number; four fours that are no card are an example of one."""
    return len(checks.digits(value)) >= 3 and not _FOURS.fullmatch(value)


RULES: Final[tuple[PatternRule, ...]] = (
    rule("card", "card", rf"(?<![\w.+-])\d(?:[ .\-/]{{0,3}}\d){{12,18}}{E}", checks.luhn),
    rule("iban", "iban", rf"{B}(?:{_ibans()}){E}", checks.iban),
    rule("account", "iban", rf"{B}(?:account|acct|sort code|routing|konto|cuenta)(?: (?:number|no\.?|nummer))?{IS}(?P<v>\d[\d -]{{4,18}}\d){E}"),
    rule("email", "email", r"(?<![\w.+%-])[\w.+%-]{1,80}(?:@| ?[\[({] ?at ?[\])}] ?)[\w-]{1,63}(?:(?:\.| ?[\[({] ?dot ?[\])}] ?)[\w-]{1,63}){1,6}"),
    rule("us social security", "id", r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])", checks.ssn),
    rule("uk national insurance", "id", rf"{B}[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{{2}} ?\d{{2}} ?\d{{2}} ?[A-D]{E}", checks.nino),
    rule("nhs number", "id", rf"{B}nhs(?: (?:number|no\.?))?{IS}(?P<v>\d{{3}}[ -]?\d{{3}}[ -]?\d{{4}}){E}"),
    rule("nhs number by itself", "id", rf"(?<![\w+.-])\d{{3}} \d{{3}} \d{{4}}{E}", checks.nhs),
    rule("spanish dni", "id", rf"{B}(?:\d{{8}}|[XYZ]-?\d{{7}})-?[A-Z]{E}", checks.dni),
    rule("french social security", "id", rf"{B}[12] ?\d{{2}} ?\d{{2}} ?(?:\d{{2}}|2[AB]) ?\d{{3}} ?\d{{3}} ?\d{{2}}{E}", checks.french),
    rule("dutch bsn", "id", rf"{B}(?:bsn|burgerservicenummer)(?: is)?\s{{0,4}}:?\s{{0,4}}(?P<v>\d[\d. ]{{7,11}}\d){E}", checks.bsn),
    rule("brazilian cpf", "id", rf"{B}\d{{3}}\.?\d{{3}}\.?\d{{3}}-?\d{{2}}{E}", checks.cpf),
    rule("aadhaar", "id", rf"{B}\d{{4}}[ -]?\d{{4}}[ -]?\d{{4}}{E}", checks.aadhaar),
    rule("id in context", "id", rf"{B}(?:passport|licen[cs]e|national insurance|social security|ssn|tax(?:payer)?|vat|student|employee|staff|patient|member(?:ship)?|policy|booking|reservation|customer|case|claim|reference|ref|visa|id|identity|pan|aadhaar|personalausweis|steuer-?id|dni|nie|curp)(?: (?:card|number|no\.?|id|ref(?:erence)?|code|nummer)){{0,3}}{IS}(?:#|no\.? ?)?(?P<v>[A-Z0-9]{{1,24}}(?:[/-][A-Z0-9]{{1,24}}| (?=[A-Z]{{0,8}}\d)[A-Z0-9]{{1,24}}){{0,6}}){E}", _numbered),
    rule("phone, international", "phone", rf"(?<![\w+])(?:\+ ?|00 ?)[1-9](?:[ ().\-/]{{0,3}}\d){{6,14}}{E}", checks.phone),
    rule("phone, local", "phone", r"(?<![\w+.,$€£-])\(?0[ .\-/]{0,2}\d{1,5}\)?(?:[ .\-/]{0,3}\d){5,9}(?![\w]|[.,]\d)", checks.phone),
    rule("phone, north american", "phone", rf"(?<![\w+.,$€£-])(?:1[ .-])?(?:\([2-9]\d{{2}}\) ?|[2-9]\d{{2}}[ .-])\d{{3}}[ .-]\d{{4}}{E}", checks.phone),
    rule("phone, in pairs", "phone", r"(?<![\w+.,$€£-])\d{2,3}(?:[ .]\d{2,3}){3,4}(?![\w]|[.,]\d)", lambda v: checks.phone(v) and len(checks.digits(v)) >= 9),
    rule("phone, in context", "phone", rf"{B}(?:phone|mobile|cell|tel|telephone|telefon|teléfono|téléphone|whatsapp|signal|call|ring|text|fax|handy|number|móvil)(?: (?:number|no\.?|me|him|her|them|us|on|at|is|auf|al)){{0,4}}\s{{0,4}}[:.]?\s{{0,4}}(?P<v>\+?\(?\d[\d ().\-/]{{4,16}}\d)(?! ?\d){E}", checks.phone),
    rule("mac", "device", rf"{B}[0-9a-f]{{2}}(?:[:-][0-9a-f]{{2}}){{5}}{E}"),
    rule("imei", "device", rf"{B}(?:imei|serial(?: (?:number|no\.?))?){IS}(?P<v>(?=[A-Z-]{{0,20}}\d)[A-Z0-9-]{{6,20}}){E}"),
    rule("ip", "ip", r"(?<![\w.:])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)", checks.address),
    rule("ip 6", "ip", r"(?<![\w:])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])", lambda v: len(v) > 6 and checks.address(v)),
    rule("uk plate", "plate", rf"{B}[A-HJ-PR-Y][A-HJ-PR-Y]\d{{2}} ?[A-HJ-PR-Z]{{3}}{E}", case=True),
    rule("german plate", "plate", rf"{B}[A-ZÄÖÜ]{{1,3}}-[A-Z]{{1,2}} ?\d{{1,4}}[EH]?{E}(?!-)", lambda v: " " in v, case=True),
    rule("plate in context", "plate", rf"{B}(?:number plate|licen[cs]e plate|plate|registration|reg|kennzeichen|matrícula|vin)(?: (?:number|no\.?))?{IS}(?P<v>(?=[A-Z -]{{0,12}}\d)[A-Z0-9]{{1,17}}(?:[ -](?=[A-Z0-9]{{0,8}}\d|[A-Z]{{2,3}}\b)[A-Z0-9]{{1,8}}){{0,3}}){E}"),
)  # fmt: skip
