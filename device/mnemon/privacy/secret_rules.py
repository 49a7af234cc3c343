# ruff: noqa: E501 - a rule reads best with its pattern on one line
"""What opens something: keys, tokens, passwords, codes, and links that carry one."""

from __future__ import annotations

import re
from typing import Final

from mnemon.privacy.pattern import IS, B, E, PatternRule, rule

_KEYED = re.compile(
    r"[?&#;][\w-]{0,40}?(?:token|key|secret|sig|signature|password|passwd|pwd|auth|session|sid|code|invite|otp)[\w-]{0,40}=[^&]",
    re.IGNORECASE,
)
_SHARED = re.compile(
    r"https?://(?:[^/]{1,200}\.)?(?:docs\.google\.com|drive\.google\.com|dropbox\.com|1drv\.ms|we\.tl|zoom\.us|meet\.google\.com|calendly\.com|sharepoint\.com)/",
    re.IGNORECASE,
)
_HOOK = re.compile(r"https?://(?:hooks?\.|[^?#]{1,500}/(?:web)?hooks?/)[^?#]{0,500}\w{8}", re.IGNORECASE)
_DRAWN = re.compile(r"/(?=[^/?#]*[a-z])(?=[^/?#]*[A-Z])(?=(?:[^/?#\d]*\d){2})[A-Za-z0-9]{10,200}(?=[/?#]|\Z)")
"""A piece of a path as random numbers are written: small and large letters and several digits, and no word's end."""


def _private_url(url: str) -> bool:
    """Whether a link opens something for whoever has it."""
    return bool(_KEYED.search(url) or _SHARED.match(url) or _HOOK.match(url) or _DRAWN.search(url))


RULES: Final[tuple[PatternRule, ...]] = (
    rule("private key", "secret", r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----[\s\S]{0,20000}?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)", case=True),
    rule("provider's key", "secret", rf"{B}(?:sk-[\w-]{{16,300}}|(?:sk|pk|rk)_(?:live|test)_\w{{10,300}}|gh[pousr]_\w{{20,300}}|github_pat_\w{{20,300}}|glpat-[\w-]{{16,300}}|xox[abeprs]-[\w-]{{10,300}}|(?:AKIA|ASIA)[A-Z0-9]{{16}}|AIza[\w-]{{30,300}}|ya29\.[\w-]{{20,300}}|hf_\w{{20,300}}|npm_\w{{30,300}}|pypi-[\w-]{{30,300}}|SG\.[\w-]{{16,300}}\.[\w-]{{16,300}}|AGE-SECRET-KEY-1\w{{40,300}})", case=True),
    rule("web token", "secret", rf"{B}eyJ[\w-]{{8,4000}}\.[\w-]{{8,4000}}(?:\.[\w-]{{0,4000}})?", case=True),
    rule("bearer token", "secret", rf"{B}(?:bearer|basic)\s{{1,4}}(?P<v>[\w.~+/=-]{{16,4000}})"),
    rule("password", "secret", rf"{B}(?:pass(?:word|code|phrase|wd)|pwd|passwort|kennwort|contraseña|mot de passe|(?:api|access|secret|private)[ _-]?key|(?:access|auth|api|refresh)[ _-]?token|client[ _-]?secret)(?:\s{{0,4}}[:=]\s{{0,4}}|\s{{1,4}}(?:is|was|es|est|ist)\s{{0,4}}:?\s{{1,4}})[\"'“‘`]?(?P<v>[^\s\"'”’`,;]{{3,200}}[^\s\"'”’`,;.!?])"),
    rule("pin", "secret", rf"{B}(?:pin(?: (?:code|number))?|cvv2?|cvc|security code|one[- ]time code|verification code|otp|door code|alarm code|safe code|geheimzahl){IS}(?P<v>\d{{3,8}}){E}"),
    rule("seed phrase", "secret", rf"{B}(?:seed|recovery|mnemonic) (?:phrase|words)(?:\s{{1,4}}is)?\s{{0,4}}:?\s{{0,4}}(?P<v>(?:[a-z]{{3,8}}[ ,]{{1,3}}){{11,23}}[a-z]{{3,8}})"),
    rule("url with secrets", "url", r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@]{1,200}:[^\s/@]{1,200}@[^\s<>\"]{1,500}"),
    rule("private url", "url", r"https?://[^\s<>\"]{1,2000}[^\s<>\".,;:!?)]", _private_url),
)  # fmt: skip
