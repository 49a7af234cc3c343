# ruff: noqa: E501 - a rule reads best with its pattern on one line
"""What gives somebody away by its form alone, memory or not: patterns, each with its kind and a check of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mnemon.privacy import checks
from mnemon.privacy.findings import Finding


@dataclass(frozen=True, slots=True)
class PatternRule:
    """A form of private value.

    Attributes:
        name: For tests and the docs.
        kind: One of :data:`mnemon.privacy.findings.KINDS`.
        pattern: What it looks like; its group ``v`` is the value, the whole match when it has none.
        check: Whether a match is one in truth.
    """

    name: str
    kind: str
    pattern: re.Pattern[str]
    check: Callable[[str], bool] = bool

    def find(self, text: str) -> Iterator[Finding]:
        """Every place in ``text`` where it holds."""
        for match in self.pattern.finditer(text):
            group = "v" if "v" in self.pattern.groupindex else 0
            if match[group] and self.check(match[group]):
                yield Finding(match.start(group), match.end(group), self.kind, match[group])


def _rule(
    name: str, kind: str, pattern: str, check: Callable[[str], bool] = bool, *, case: bool = False
) -> PatternRule:
    return PatternRule(name, kind, re.compile(pattern, 0 if case else re.IGNORECASE), check)


_B, _E = r"(?<![^\W_])", r"(?![^\W_])"
_MONTH = r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?|enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre|janvier|février|mars|avril|mai|juin|juillet|août|septembre|octobre|novembre|décembre|januar|februar|märz|juni|juli|oktober|dezember)"
_DATE = rf"(?:\d{{1,2}}(?:st|nd|rd|th|\.)?\s(?:of\s|de\s)?{_MONTH}\.?,?(?:\s(?:de\s)?\d{{4}})?|{_MONTH}\.?\s\d{{1,2}}(?:st|nd|rd|th)?(?:,?\s\d{{4}})?|\d{{4}}-\d{{2}}-\d{{2}}|\d{{1,2}}[./-]\d{{1,2}}[./-]\d{{2,4}})"
_IS = r"(?:\s*[:=]\s*|\s+(?:is|was|are|es|est|ist|lautet)\s*:?\s*|\s+)"
_STREET = r"(?:street|st|road|rd|avenue|ave|lane|ln|drive|dr|close|crescent|court|ct|terrace|gardens|grove|boulevard|blvd|square|sq|row|mews|parkway|pkwy|highway|hwy|walk|hill|rise|way|circle|cir|quay|wharf|parade)"
_CAPITALS = r"(?:[A-ZÀ-Þ][\w'’.-]*|\d{1,3}(?:st|nd|rd|th))"
_HEALTH = r"(?:HIV|AIDS|hepatitis(?: [A-E])?|cancer|leuk(?:a)?emia|lymphoma|tumou?r|diabetes|epilepsy|asthma|arthritis|depression|anxiety|bipolar(?: disorder)?|schizophrenia|psychosis|PTSD|OCD|ADHD|autism|anorexia|bulimia|addiction|alcoholism|dementia|alzheimer['’]?s|parkinson['’]?s|multiple sclerosis|lupus|crohn['’]?s(?: disease)?|colitis|IBS|endometriosis|PCOS|fibromyalgia|psoriasis|eczema|chlamydia|gonorrh(?:o)?ea|syphilis|herpes|HPV|infertility|miscarriage|abortion|pregnancy|stroke|heart (?:failure|attack|disease|condition)|kidney (?:failure|disease|stones?)|(?:high|low) blood pressure|hypertension|migraines?|sleep apno?ea|gout|an(?:a)?emia|coeliac disease|celiac disease|an? (?:[\w-]+ )?(?:disorder|syndrome|infection|overdose|diagnosis))"

RULES: tuple[PatternRule, ...] = (
    _rule("private key", "secret", r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\Z)", case=True),
    _rule("provider's key", "secret", rf"{_B}(?:sk-[\w-]{{16,}}|(?:sk|pk|rk)_(?:live|test)_\w{{10,}}|gh[pousr]_\w{{20,}}|github_pat_\w{{20,}}|glpat-[\w-]{{16,}}|xox[abeprs]-[\w-]{{10,}}|(?:AKIA|ASIA)[A-Z0-9]{{16}}|AIza[\w-]{{30,}}|ya29\.[\w-]{{20,}}|hf_\w{{20,}}|npm_\w{{30,}}|pypi-[\w-]{{30,}}|SG\.[\w-]{{16,}}\.[\w-]{{16,}}|AGE-SECRET-KEY-1\w{{40,}})", case=True),
    _rule("web token", "secret", rf"{_B}eyJ[\w-]{{8,}}\.[\w-]{{8,}}(?:\.[\w-]*)?", case=True),
    _rule("bearer token", "secret", rf"{_B}(?:bearer|basic)\s+(?P<v>[\w.~+/=-]{{16,}})"),
    _rule("password", "secret", rf"{_B}(?:pass(?:word|code|phrase|wd)|pwd|passwort|kennwort|contraseña|mot de passe|(?:api|access|secret|private)[ _-]?key|(?:access|auth|api|refresh)[ _-]?token|client[ _-]?secret)(?:\s*[:=]\s*|\s+(?:is|was|es|est|ist)\s*:?\s+)[\"'“‘`]?(?P<v>[^\s\"'”’`,;]{{3,}}[^\s\"'”’`,;.!?])"),
    _rule("pin", "secret", rf"{_B}(?:pin(?: (?:code|number))?|cvv2?|cvc|security code|one[- ]time code|verification code|otp|door code|alarm code|safe code|geheimzahl){_IS}(?P<v>\d{{3,8}}){_E}"),
    _rule("seed phrase", "secret", rf"{_B}(?:seed|recovery|mnemonic) (?:phrase|words)(?:\s+is)?\s*:?\s*(?P<v>(?:[a-z]{{3,8}}[ ,]+){{11,23}}[a-z]{{3,8}})"),
    _rule("card", "card", rf"(?<![\w.+-])\d(?:[ -]?\d){{12,18}}{_E}", checks.luhn),
    _rule("iban", "iban", rf"{_B}[A-Z]{{2}}\d{{2}}(?:[ -]?[A-Z0-9]{{2,4}}){{3,8}}(?:[ -]?[A-Z0-9]{{1,3}})?{_E}", checks.iban),
    _rule("account", "iban", rf"{_B}(?:account|acct|sort code|routing|konto|cuenta)(?: (?:number|no\.?|nummer))?{_IS}(?P<v>\d[\d -]{{4,18}}\d){_E}"),
    _rule("url with secrets", "url", r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@]+:[^\s/@]+@[^\s<>\"]+"),
    _rule("url with a key", "url", r"\bhttps?://[^\s<>\"]*?[?&#;](?:[\w-]*(?:token|key|secret|sig|signature|password|passwd|pwd|auth|session|sid|code|invite|otp)[\w-]*)=[^\s<>\"]+[^\s<>\".,;:!?)]"),
    _rule("private url", "url", r"\bhttps?://(?:[^\s<>\"/]*\.)?(?:docs\.google\.com|drive\.google\.com|dropbox\.com|1drv\.ms|we\.tl|zoom\.us|meet\.google\.com|calendly\.com|[\w-]+\.sharepoint\.com)/[^\s<>\"]*[^\s<>\".,;:!?)]"),
    _rule("email", "email", r"(?<![\w.+%-])[\w.+%-]+@[\w-]+(?:\.[\w-]+)+"),
    _rule("us social security", "id", r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])", checks.ssn),
    _rule("uk national insurance", "id", rf"{_B}[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{{2}} ?\d{{2}} ?\d{{2}} ?[A-D]{_E}", checks.nino),
    _rule("nhs number", "id", rf"{_B}nhs(?: (?:number|no\.?))?{_IS}(?P<v>\d{{3}}[ -]?\d{{3}}[ -]?\d{{4}}){_E}"),
    _rule("nhs number by itself", "id", rf"(?<![\w+.-])\d{{3}} \d{{3}} \d{{4}}{_E}", checks.nhs),
    _rule("spanish dni", "id", rf"{_B}(?:\d{{8}}|[XYZ]-?\d{{7}})-?[A-Z]{_E}", checks.dni),
    _rule("french social security", "id", rf"{_B}[12] ?\d{{2}} ?\d{{2}} ?(?:\d{{2}}|2[AB]) ?\d{{3}} ?\d{{3}} ?\d{{2}}{_E}", checks.french),
    _rule("dutch bsn", "id", rf"{_B}(?:bsn|burgerservicenummer)(?: is)?\s*:?\s*(?P<v>\d[\d. ]{{7,11}}\d){_E}", checks.bsn),
    _rule("brazilian cpf", "id", rf"{_B}\d{{3}}\.?\d{{3}}\.?\d{{3}}-?\d{{2}}{_E}", checks.cpf),
    _rule("aadhaar", "id", rf"{_B}\d{{4}}[ -]?\d{{4}}[ -]?\d{{4}}{_E}", checks.aadhaar),
    _rule("id in context", "id", rf"{_B}(?:passport|licen[cs]e|national insurance|social security|ssn|tax(?:payer)?|vat|student|employee|staff|patient|member(?:ship)?|policy|booking|reservation|customer|case|claim|reference|ref|visa|id|identity|pan|aadhaar|personalausweis|steuer-?id|dni|nie|curp)(?: (?:card|number|no\.?|id|ref(?:erence)?|code|nummer))*{_IS}(?:#|no\.? ?)?(?P<v>(?=[A-Z0-9 /-]*\d[A-Z0-9 /-]*\d[A-Z0-9 /-]*\d)[A-Z0-9]+(?:[/-][A-Z0-9]+| (?=[A-Z]*\d)[A-Z0-9]+)*){_E}"),
    _rule("phone, international", "phone", rf"(?<![\w+])(?:\+|00)[1-9](?:[ ().\-/]{{0,2}}\d){{6,14}}{_E}", checks.phone),
    _rule("phone, local", "phone", r"(?<![\w+.,$€£-])\(?0\d{1,5}\)?(?:[ .\-/]{0,2}\d){5,9}(?![\w]|[.,]\d)", checks.phone),
    _rule("phone, north american", "phone", rf"(?<![\w+.,$€£-])(?:1[ .-])?(?:\([2-9]\d{{2}}\) ?|[2-9]\d{{2}}[ .-])\d{{3}}[ .-]\d{{4}}{_E}", checks.phone),
    _rule("phone, in pairs", "phone", r"(?<![\w+.,$€£-])\d{2,3}(?:[ .]\d{2,3}){3,4}(?![\w]|[.,]\d)", lambda v: checks.phone(v) and len(checks.digits(v)) >= 9),
    _rule("phone, in context", "phone", rf"{_B}(?:phone|mobile|cell|tel|telephone|telefon|teléfono|téléphone|whatsapp|signal|call|ring|text|fax|handy|number|móvil)(?: (?:number|no\.?|me|him|her|them|us|on|at|is|auf|al))*\s*[:.]?\s*(?P<v>\+?\(?\d[\d ().\-/]{{4,16}}\d){_E}", checks.phone),
    _rule("mac", "device", rf"{_B}[0-9a-f]{{2}}(?:[:-][0-9a-f]{{2}}){{5}}{_E}"),
    _rule("imei", "device", rf"{_B}(?:imei|serial(?: (?:number|no\.?))?){_IS}(?P<v>(?=[A-Z-]*\d)[A-Z0-9-]{{6,20}}){_E}"),
    _rule("ip", "ip", r"(?<![\w.:])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)", checks.address),
    _rule("ip 6", "ip", r"(?<![\w:])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])", lambda v: len(v) > 6 and checks.address(v)),
    _rule("coordinates", "location", rf"(?<![\w.])[-+]?(?:[0-8]?\d|90)\.\d{{3,}}°?\s?[NS]?\s?,\s?[-+]?(?:1[0-7]\d|\d{{1,2}}|180)\.\d{{3,}}°?\s?[EW]?{_E}"),
    _rule("coordinates, degrees", "location", r"\d{1,2}°\s?\d{1,2}['′]\s?(?:[\d.]+[\"″]\s?)?[NS][ ,]+\d{1,3}°\s?\d{1,2}['′]\s?(?:[\d.]+[\"″]\s?)?[EW]"),
    _rule("what three words", "location", r"///[^\W\d_]+\.[^\W\d_]+\.[^\W\d_]+"),
    _rule("date of birth", "date", rf"{_B}(?:born(?: on| in)?|date of birth|d\.?o\.?b\.?|birth ?da(?:y|te)|geboren(?: am)?|geburtsdatum|née? le|nacid[oa] el|nació el|fecha de nacimiento)(?:\s+is|\s+was|\s+on)?\s*[:,(]?\s*(?:the )?(?P<v>{_DATE}){_E}"),
    _rule("street and number", "address", rf"{_B}(?:(?:flat|apartment|apt|unit|suite)\.? ?\d{{1,4}}[a-z]?,? )?\d{{1,5}}[a-z]?,? (?:(?-i:{_CAPITALS})\s){{1,4}}?{_STREET}{_E}"),
    _rule("street, then number", "address", rf"{_B}(?-i:[A-ZÀ-Þ])[\w-]*(?:straße|strasse|str\.|gasse|weg|platz|allee|straat|laan|gatan|vägen|gata|vej)\s\d{{1,4}}\s?[a-z]?{_E}"),
    _rule("street, romance", "address", rf"{_B}(?:\d{{1,4}}(?: ?bis)?,? )?(?:rue|avenue|boulevard|place|calle|avenida|av\.|plaza|paseo|via|viale|piazza|corso|rua|travessa)\s(?:(?:de|del|della|des|du|la|las|los|le|les|da|do|dos|d['’]) ?){{0,2}}(?-i:[A-ZÀ-Þ])[\w'’-]*(?:\s(?:(?:de|del|la|da) )?(?-i:[A-ZÀ-Þ])[\w'’-]*){{0,3}},? \d{{1,4}}{_E}"),
    _rule("street, french", "address", rf"{_B}\d{{1,4}}(?: ?bis)?,? (?:rue|avenue|boulevard|place|impasse|allée|chemin|quai)\s(?:(?:de|des|du|la|le|les|d['’]|l['’]) ?){{0,2}}(?-i:[A-ZÀ-Þ])[\w'’-]*(?:[\s-](?-i:[A-ZÀ-Þ])[\w'’-]*){{0,3}}"),
    _rule("japanese address", "address", r"[一-龥ヶ々]{1,4}[都道府県][一-龥ぁ-んァ-ヶー々]{2,20}(?:[0-9０-９]{1,4}(?:[-－‐丁目番地号の]{1,3}[0-9０-９]{0,4})*)"),
    _rule("flat", "address", rf"{_B}(?:flat|apartment|apt\.?|unit) \d{{1,4}}[a-z]?,? (?-i:[A-ZÀ-Þ])[\w'’-]*(?: (?-i:[A-ZÀ-Þ])[\w'’-]*){{0,3}}"),
    _rule("uk postcode", "address", rf"{_B}(?:GIR ?0AA|[A-PR-UWYZ](?:\d{{1,2}}|[A-HK-Y]\d(?:\d|[ABEHMNPRV-Y])?|\d[A-HJKPS-UW]) ?\d[ABD-HJLNP-UW-Z]{{2}}){_E}"),
    _rule("canadian postcode", "address", rf"{_B}[ABCEGHJ-NPRSTVXY]\d[A-Z] ?\d[A-Z]\d{_E}", case=True),
    _rule("dutch postcode", "address", rf"{_B}[1-9]\d{{3}} ?(?!SA|SD|SS)[A-Z]{{2}}{_E}(?=,? [A-Z])", case=True),
    _rule("us state and zip", "address", rf"{_B}(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[AT]|W[AIVY]),? \d{{5}}(?:-\d{{4}})?{_E}", case=True),
    _rule("postcode in context", "address", rf"{_B}(?:zip(?: ?code)?|post(?:al )?code|plz|eircode|código postal|code postal|pin ?code){_IS}(?P<v>(?=[A-Z ]*\d)[A-Z0-9]{{2,5}}(?:[ -][A-Z0-9]{{2,4}})?){_E}"),
    _rule("uk plate", "plate", rf"{_B}[A-HJ-PR-Y][A-HJ-PR-Y]\d{{2}} ?[A-HJ-PR-Z]{{3}}{_E}", case=True),
    _rule("german plate", "plate", rf"{_B}[A-ZÄÖÜ]{{1,3}}-[A-Z]{{1,2}} ?\d{{1,4}}[EH]?{_E}(?!-)", lambda v: " " in v, case=True),
    _rule("plate in context", "plate", rf"{_B}(?:number plate|licen[cs]e plate|plate|registration|reg|kennzeichen|matrícula|vin)(?: (?:number|no\.?))?{_IS}(?P<v>(?=[A-Z -]*\d)[A-Z0-9]+(?:[ -](?=[A-Z0-9]*\d|[A-Z]{{2,3}}\b)[A-Z0-9]+)*){_E}"),
    _rule("health, of somebody", "health", rf"{_B}(?:(?:i|we|he|she|they|who)(?:['’](?:m|ve|s|re))?|(?:my|our|his|her)(?: [\w'’-]+){{1,3}}?)(?: (?:am|is|are|was|were|have|has|had|got|just|been|also|recently|now|still|being|getting|being treated))* (?:diagnosed with|tested positive for|treated for|suffer(?:s|ing|ed)? from|living with|recovering from|have|has|had|got|on treatment for) (?:an? |the |my |her |his |some |severe |mild |chronic |early |stage \w+ |type [12] )*(?P<v>{_HEALTH}){_E}"),
    _rule("health, mine", "health", rf"{_B}(?:my|our|his|her|their|[A-Z][\w-]+['’]s) (?:(?:severe|mild|chronic|early|recent|stage \w+|type [12]) )*(?P<v>{_HEALTH}){_E}"),
    _rule("health, a state", "health", rf"{_B}(?:i am|i['’]m|she is|he is|she['’]s|he['’]s|my [\w'’-]+ is) (?:\w+ )?(?P<v>HIV[- ]positive|pregnant|suicidal|bipolar|diabetic|epileptic|asthmatic|anorexic|bulimic|alcoholic|autistic|schizophrenic|infertile|in remission){_E}"),
    _rule("health, a dose", "health", rf"{_B}(?:i['’]m on|i am on|i take|i was prescribed|i['’]ve been prescribed|takes|is on|prescribed(?: me| him| her)?) (?P<v>(?:\d[\d.,]* ?(?:mg|mcg|µg|ml|units) (?:of )?)?[a-z-]{{4,}}(?: \d[\d.,]* ?(?:mg|mcg|µg|ml|units))|\d[\d.,]* ?(?:mg|mcg|µg) (?:of )?[a-z-]{{4,}}){_E}"),
)  # fmt: skip


def find(text: str) -> list[Finding]:
    """Everything in ``text`` that a rule knows by its form; findings may overlap."""
    return [finding for rule in RULES for finding in rule.find(text)]
