# ruff: noqa: E501 - a rule reads best with its pattern on one line
"""Where and when: addresses, postcodes, coordinates, and the day somebody was born."""

from __future__ import annotations

from typing import Final

from mnemon.privacy.pattern import IS, B, E, PatternRule, rule

MONTH: Final = r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?|enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre|janvier|février|mars|avril|mai|juin|juillet|août|septembre|octobre|novembre|décembre|januar|februar|märz|juni|juli|oktober|dezember)"
DATE: Final = rf"(?:\d{{1,2}}(?:st|nd|rd|th|\.)?\s(?:of\s|de\s)?{MONTH}\.?,?(?:\s(?:de\s)?\d{{4}})?|{MONTH}\.?\s\d{{1,2}}(?:st|nd|rd|th)?(?:,?\s\d{{4}})?|\d{{4}}-\d{{2}}-\d{{2}}|\d{{1,2}}[./-]\d{{1,2}}[./-]\d{{2,4}})"
STREET: Final = r"(?:street|st|road|rd|avenue|ave|lane|ln|drive|dr|close|crescent|court|ct|terrace|gardens|grove|boulevard|blvd|square|sq|row|mews|parkway|pkwy|highway|hwy|walk|hill|rise|way|circle|cir|quay|wharf|parade)"
CAPITALS: Final = r"(?:[A-ZÀ-Þ][\w'’.-]{0,40}|\d{1,3}(?:st|nd|rd|th))"

RULES: Final[tuple[PatternRule, ...]] = (
    rule("coordinates", "location", rf"(?<![\w.])[-+]?(?:[0-8]?\d|90)\.\d{{3,15}}°?\s?[NS]?\s?,\s?[-+]?(?:1[0-7]\d|\d{{1,2}}|180)\.\d{{3,15}}°?\s?[EW]?{E}"),
    rule("coordinates, degrees", "location", r"\d{1,2}°\s?\d{1,2}['′]\s?(?:[\d.]{1,10}[\"″]\s?)?[NS][ ,]{1,4}\d{1,3}°\s?\d{1,2}['′]\s?(?:[\d.]{1,10}[\"″]\s?)?[EW]"),
    rule("what three words", "location", r"///[^\W\d_]{1,30}\.[^\W\d_]{1,30}\.[^\W\d_]{1,30}"),
    rule("date of birth", "date", rf"{B}(?:born(?: on| in)?|date of birth|d\.?o\.?b\.?|birth ?da(?:y|te)|geboren(?: am)?|geburtsdatum|née? le|nacid[oa] el|nació el|fecha de nacimiento)(?:\s{{1,4}}is|\s{{1,4}}was|\s{{1,4}}on)?\s{{0,4}}[:,(]?\s{{0,4}}(?:the )?(?P<v>{DATE}){E}"),
    rule("street and number", "address", rf"{B}(?:(?:flat|apartment|apt|unit|suite)\.? ?\d{{1,4}}[a-z]?,? )?\d{{1,5}}[a-z]?,? (?:(?-i:{CAPITALS})\s){{1,4}}?{STREET}{E}"),
    rule("street, then number", "address", rf"{B}(?-i:[A-ZÀ-Þ])[\w-]{{0,30}}?(?:straße|strasse|str\.|gasse|weg|platz|allee|straat|laan|gatan|vägen|gata|vej)\s\d{{1,4}}\s?[a-z]?{E}"),
    rule("street, romance", "address", rf"{B}(?:\d{{1,4}}(?: ?bis)?,? )?(?:rue|avenue|boulevard|place|calle|avenida|av\.|plaza|paseo|via|viale|piazza|corso|rua|travessa)\s(?:(?:de|del|della|des|du|la|las|los|le|les|da|do|dos|d['’]) ?){{0,2}}(?-i:[A-ZÀ-Þ])[\w'’-]{{0,40}}(?:\s(?:(?:de|del|la|da) )?(?-i:[A-ZÀ-Þ])[\w'’-]{{0,40}}){{0,3}},? \d{{1,4}}{E}"),
    rule("street, french", "address", rf"{B}\d{{1,4}}(?: ?bis)?,? (?:rue|avenue|boulevard|place|impasse|allée|chemin|quai)\s(?:(?:de|des|du|la|le|les|d['’]|l['’]) ?){{0,2}}(?-i:[A-ZÀ-Þ])[\w'’-]{{0,40}}(?:[\s-](?-i:[A-ZÀ-Þ])[\w'’-]{{0,40}}){{0,3}}"),
    rule("japanese address", "address", r"[一-龥ヶ々]{1,4}[都道府県][一-龥ぁ-んァ-ヶー々]{2,20}(?:[0-9０-９]{1,4}(?:[-－‐丁目番地号の]{1,3}[0-9０-９]{0,4}){0,4})"),
    rule("flat", "address", rf"{B}(?:flat|apartment|apt\.?|unit) \d{{1,4}}[a-z]?,? (?-i:[A-ZÀ-Þ])[\w'’-]{{0,40}}(?: (?-i:[A-ZÀ-Þ])[\w'’-]{{0,40}}){{0,3}}"),
    rule("uk postcode", "address", rf"{B}(?:GIR ?0AA|[A-PR-UWYZ](?:\d{{1,2}}|[A-HK-Y]\d(?:\d|[ABEHMNPRV-Y])?|\d[A-HJKPS-UW]) ?\d[ABD-HJLNP-UW-Z]{{2}}){E}"),
    rule("canadian postcode", "address", rf"{B}[ABCEGHJ-NPRSTVXY]\d[A-Z] ?\d[A-Z]\d{E}", case=True),
    rule("dutch postcode", "address", rf"{B}[1-9]\d{{3}} ?(?!SA|SD|SS)[A-Z]{{2}}{E}(?=,? [A-Z])", case=True),
    rule("us state and zip", "address", rf"{B}(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[AT]|W[AIVY]),? \d{{5}}(?:-\d{{4}})?{E}", case=True),
    rule("postcode in context", "address", rf"{B}(?:zip(?: ?code)?|post(?:al )?code|plz|eircode|código postal|code postal|pin ?code){IS}(?P<v>(?=[A-Z ]{{0,8}}\d)[A-Z0-9]{{2,5}}(?:[ -][A-Z0-9]{{2,4}})?){E}"),
)  # fmt: skip
