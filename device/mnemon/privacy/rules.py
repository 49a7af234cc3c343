"""What gives somebody away by its form alone, memory or not."""

from __future__ import annotations

from typing import Final

from mnemon.privacy import health_rules, number_rules, place_rules, secret_rules
from mnemon.privacy.findings import Finding
from mnemon.privacy.pattern import PatternRule

RULES: Final[tuple[PatternRule, ...]] = (
    *secret_rules.RULES,
    *number_rules.RULES,
    *place_rules.RULES,
    *health_rules.RULES,
)


def find(text: str) -> list[Finding]:
    """Everything in ``text`` that a rule knows by its form; findings may overlap."""
    return [finding for rule in RULES for finding in rule.find(text)]
