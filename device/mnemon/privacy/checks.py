"""Check digits: what tells a card, an account or a national number from any other run of digits."""

from __future__ import annotations

import ipaddress
import re

IBAN_LENGTHS = {
    pair[:2]: int(pair[2:])
    for pair in (
        "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24"
        " FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32"
        " LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22"
        " SA24 SC31 SE24 SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20"
    ).split()
}
"""Characters of an account number, by country (the SWIFT registry of ISO 13616)."""


def digits(text: str) -> str:
    """The decimal digits of ``text``."""
    return re.sub(r"[^0-9]", "", text)


def luhn(text: str) -> bool:
    """A payment card: 13 to 19 digits, not all the same, with a right Luhn check digit (ISO/IEC 7812)."""
    number = digits(text)
    if not 13 <= len(number) <= 19 or len(set(number)) == 1:
        return False
    doubled = (sum(divmod(int(d) * 2, 10)) if i % 2 else int(d) for i, d in enumerate(reversed(number)))
    return sum(doubled) % 10 == 0


def iban(text: str) -> bool:
    """An account number with its country's length and the remainder 1 (ISO 13616, ISO 7064 mod 97-10)."""
    code = re.sub(r"[\s-]", "", text).upper()
    if IBAN_LENGTHS.get(code[:2]) != len(code) or not code.isascii() or not code.isalnum():
        return False
    return int("".join(str(int(c, 36)) for c in code[4:] + code[:4])) % 97 == 1


def nhs(text: str) -> bool:
    """A British NHS number: ten digits, mod 11."""
    d = [int(c) for c in digits(text)]
    return len(d) == 10 and (11 - sum(d[i] * (10 - i) for i in range(9)) % 11) % 11 == d[9]


def dni(text: str) -> bool:
    """A Spanish DNI or NIE: eight digits (or X, Y, Z and seven) and their letter."""
    code = re.sub(r"[\s.-]", "", text).upper()
    number = code[:-1].translate(str.maketrans("XYZ", "012"))
    return number.isdigit() and len(number) == 8 and "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == code[-1]


def bsn(text: str) -> bool:
    """A Dutch BSN: nine digits, the eleven test. Meaningful only where the word stands beside it."""
    d = [int(c) for c in digits(text)]
    return len(d) == 9 and any(d) and (sum((9 - i) * d[i] for i in range(8)) - d[8]) % 11 == 0


def cpf(text: str) -> bool:
    """A Brazilian CPF: eleven digits, two of them check digits mod 11."""
    d = [int(c) for c in digits(text)]
    if len(d) != 11 or len(set(d)) == 1:
        return False
    return all(sum(d[i] * (n + 1 - i) for i in range(n)) * 10 % 11 % 10 == d[n] for n in (9, 10))


def aadhaar(text: str) -> bool:
    """An Indian Aadhaar number: twelve digits beginning with 2 to 9, Verhoeff's check digit."""
    number = digits(text)
    if len(number) != 12 or number[0] in "01":
        return False
    check = 0
    for i, digit in enumerate(reversed(number)):
        check = _dihedral(check, _permuted(int(digit), i))
    return check == 0


def _dihedral(a: int, b: int) -> int:
    if a < 5:
        return (a + b) % 5 if b < 5 else 5 + (a + b) % 5
    return 5 + (a - b) % 5 if b < 5 else (a - b) % 5


def _permuted(digit: int, times: int) -> int:
    for _ in range(times % 8):
        digit = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)[digit]
    return digit


def ssn(text: str) -> bool:
    """A number the US Social Security Administration can have given out."""
    area, group, serial = text[:3], text[4:6], text[7:]
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def nino(text: str) -> bool:
    """A British National Insurance number with a prefix that is given out."""
    code = re.sub(r"\s", "", text).upper()
    return code[:2] not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")


def french(text: str) -> bool:
    """A French social security number: thirteen digits (Corsica's letters apart) and 97 less their remainder."""
    code = re.sub(r"[\s.]", "", text).upper().replace("2A", "19").replace("2B", "18")
    return len(code) == 15 and code.isdigit() and 97 - int(code[:13]) % 97 == int(code[13:])


def address(text: str) -> bool:
    """An IP address that points at a machine; the loopback and unspecified ones say nothing of anybody."""
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (parsed.is_loopback or parsed.is_unspecified)


def phone(text: str) -> bool:
    """Enough digits to ring somebody (7 to 15), and not a day, a range of years or an amount."""
    number = digits(text)
    if not 7 <= len(number) <= 15:
        return False
    if re.fullmatch(r"(?:1[89]|20)\d\d\s?[-–/]\s?(?:1[89]|20)\d\d", text.strip()):
        return False
    day = r"(?:(?:1[89]|20)\d\d[-./ ]\d{1,2}[-./ ]\d{1,2}|\d{1,2}[-./ ]\d{1,2}[-./ ](?:1[89]|20)\d\d)"
    return not re.fullmatch(day, text.strip())
