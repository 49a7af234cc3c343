# ruff: noqa: E501 - a rule reads best with its pattern on one line
"""The rules of everyday first-person English: patterns, and the fact each states about "the user".

Small words in braces (``{rel}``, ``{event}``, ``{when}`` ...) stand for :data:`mnemon.memory.pieces.PIECES`. Rules are tried from
the particular to the general; :mod:`mnemon.memory.patterns` does the trying.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from mnemon.memory.dates import DATE_PATTERN
from mnemon.memory.pieces import NAME, PIECES

Kind = Literal["states", "ends"]

# fmt: off


@dataclass(frozen=True, slots=True)
class Rule:
    """One pattern and the fact it states.

    Attributes:
        pattern: Must match the whole clause; its groups fill the templates.
        text, subject, attribute, value: Templates.
        named: The value must be a name: it starts with a capital, or the clause has no capitals at all.
        kind: ``ends``: the clause says that something no longer holds.
    """

    pattern: re.Pattern[str]
    text: str
    subject: str
    attribute: str
    value: str = "{v}"
    named: bool = False
    kind: Kind = "states"
    past: bool = False


def _rule(pattern: str, text: str, attribute: str, subject: str = "user", **more: object) -> Rule:
    for name, piece in PIECES.items():
        pattern = pattern.replace("{" + name + "}", f"(?:{piece})")
    # Names keep their capitals: only what stands outside a (?-i:…) group ignores case.
    return Rule(re.compile(pattern, re.IGNORECASE), text, subject, attribute, **more)  # type: ignore[arg-type]


MY = r"(?:my|our)"
_I = r"(?:i|we)"
_V = r"(?P<v>.+)"

_IDENTITY = [
    _rule(rf"{MY} (?:full |real |first )?name is {_V}", "The user's name is {v}.", "name", named=True),
    _rule(
        rf"(?:you can |please |just )*call me {_V}|(?:people|friends|everyone|everybody|they) calls? me (?P<v2>.+)",
        "The user is called {v}.",
        "nickname",
        named=True,
    ),
    _rule(r"i am (?P<v>\d{1,3})(?: years old| years of age)?", "The user is {v} years old.", "age"),
    _rule(r"i (?:have )?(?:just )?turned (?P<v>\d{1,3})(?: (?P<w>.+))?", "The user is {v} years old.", "age"),
    _rule(
        rf"(?:{MY} birthday is|i celebrate my birthday) (?:on )?(?P<v>(?:the )?\d.+|{{when}}.*)", "The user's birthday is on {v}.", "birthday"
    ),
    _rule(
        rf"{MY} (?P<r>{{rel}})(?:'s)? (?:birthday is|was born)(?: on)? (?P<v>.+)",
        "The user's {r}'s birthday is on {v}.",
        "birthday",
        subject="{r}",
    ),
    _rule(rf"i was born (?:on )(?P<v>{DATE_PATTERN}.*)", "The user was born on {v}.", "birthday"),
    _rule(rf"i was born (?:and raised )?in {_V}", "The user was born in {v}.", "birthplace"),
    _rule(rf"i (?:grew up|was raised) {{place}} {_V}", "The user grew up in {v}.", "hometown"),
    _rule(rf"i am (?:originally )?from {_V}", "The user is from {v}.", "origin", named=True),
    _rule(rf"i speak (?:a little |some |fluent )?{_V}", "The user speaks {v}.", "language", named=True),
]
_HOME = [
    _rule(
        rf"{_I} (?:do not|no longer) {{adv}}live (?P<p>in|at|on) (?P<v>.+?)(?: any ?more| any longer| now)?",
        "The user no longer lives {p} {v}.",
        "home",
        kind="ends",
    ),
    _rule(
        rf"{_I} (?:used to live|lived) (?P<p>in|at|on) (?P<v>.+)",
        "The user used to live {p} {v}.",
        "home",
        kind="ends",
        past=True,
    ),
    _rule(
        rf"(?:{_I}|me and \w+) (?:have )?{{adv}}(?:moved|relocated) (?:house |home |back |over |up |down )?(?:from .+? )?"
        rf"(?:in)?to (?P<v>.+)",
        "The user lives in {v}.",
        "home",
        named=True,
        past=True,
    ),
    _rule(
        rf"(?:{_I} )?(?:have )?{{adv}}(?:got the keys to|bought|moved into|are renting|rent|unpacked .*? in) "
        r"(?:the|a|an|our|my)(?: new)? (?P<h>house|flat|place|apartment|cottage|bungalow) (?P<p>in|on|at|near) (?P<v>.+)",
        "The user lives {p} {v}.",
        "home",
        past=True,
    ),
    _rule(
        rf"(?:{_I} {{adv}}(?:live|reside|are living|am living|are based|am based|stay|have been living|have lived)"
        rf"|{MY} home is|home (?:for me|is now|now)? ?is) (?P<p>in|at|on|near|with|outside) (?P<v>.+)",
        "The user lives {p} {v}.",
        "home",
    ),
    _rule(
        rf"{_I} (?:am|are) {{adv}}moving (?:house |home |back )?to (?P<v>.+)",
        "The user is moving to {v}.",
        "move",
        named=True,
    ),
]
_WORK = [
    _rule(
        r"i (?:do not|no longer) {adv}work (?:for|at|in|with|as) (?P<v>.+?)(?: any ?more| any longer| now)?",
        "The user no longer works at {v}.",
        "employer",
        kind="ends",
    ),
    _rule(
        r"i (?:have )?{adv}(?:quit|left|lost|resigned from|handed in my notice at) (?:my |the )?(?:old )?(?P<v>job\b.*)",
        "The user left their job.",
        "employer",
        value="",
        kind="ends",
        past=True,
    ),
    _rule(r"i (?:have |am )?{adv}(?P<v>retired)(?P<w> .+)?", "The user is retired.", "job"),
    _rule(
        r"i {adv}work as (?P<v>an? .+?|the .+?) (?P<p>at|for|in|with) (?P<e>.+)",
        "The user works as {v} {p} {e}.",
        "job",
    ),
    _rule(r"i {adv}(?:work|am working|am employed) as (?P<v>.+)", "The user works as {v}.", "job"),
    _rule(r"i am (?:now )?(?P<v>(?:an? |the )(?:{job}))(?: by (?:trade|profession))?", "The user is {v}.", "job"),
    _rule(
        r"i am (?:now )?(?P<v>(?:an? |the )(?:{job})) (?P<p>at|for|in|with|on) (?P<e>.+)",
        "The user is {v} {p} {e}.",
        "job",
    ),
    _rule(r"{adv}my job is (?:being |as )?(?P<v>.+)", "The user's job is {v}.", "job"),
    _rule(
        r"(?:i (?:have )?{adv}(?:been |was |got )*promoted to|they (?:have )?(?:are making|made) me|i (?:have )?(?:became|become))"
        r" (?P<v>.+)",
        "The user is now {v}.",
        "job",
    ),
    _rule(
        r"i (?:have )?{adv}(?:started|got|took|begun|am starting)(?: a| my| the)?(?: new)?(?: job| role| work(?:ing)?)"
        r" as (?P<v>.+)",
        "The user works as {v}.",
        "job",
        past=True,
    ),
    _rule(
        r"i (?:have )?{adv}(?:started|got|took|begun|joined|am starting)(?: a| my| the)?(?: new)?"
        r"(?: job| role| work(?:ing)?)? ?(?:at|with|for)? (?:the )?(?P<v>(?:(?<=at )|(?<=with )|(?<=for )|(?<=joined )"
        r"|(?<=the )).+)",
        "The user works at {v}.",
        "employer",
        past=True,
    ),
    _rule(
        r"i {adv}(?:work|am working|have been working|am employed) (?P<p>at|for|in|on|with|by) (?P<v>.+)",
        "The user works {p} {v}.",
        "employer",
    ),
    _rule(rf"{MY} (?:employer|company|firm) is (?P<v>.+)", "The user works for {v}.", "employer", named=True),
    _rule(r"i {adv}(?:study|am studying|am doing a degree in) (?P<v>.+)", "The user studies {v}.", "studies"),
]
_PEOPLE = [
    _rule(
        rf"{MY} (?P<r>{{rel}})(?:'s name is| is (?:called|named)| goes by| is named) (?P<v>.+)",
        "The user's {r} is called {v}.",
        "name",
        subject="{r}",
        named=True,
    ),
    _rule(
        rf"{_I} (?:have|own|{{adv}}got|adopted|bought|have {{adv}}adopted|have {{adv}}got) (?:a|an|one|our|my) (?:new )?"
        r"(?P<q>[\w-]+ )??(?P<r>{rel}),? (?:called|named|whose name is) (?P<v>.+)",
        "The user's {r} is called {v}.",
        "name",
        subject="{r}",
        named=True,
    ),
    _rule(
        rf"{MY} (?P<r>{{rel}}),? (?P<n>(?-i:{NAME})),? (?:has )?(?:died|passed away)(?: .+)?",
        "The user's {r} {n} died.",
        "death",
        subject="{r} {n}",
        value="died",
    ),
    _rule(
        rf"{MY} (?P<r>{{rel}}) (?:has )?(?:died|passed away)(?: .+)?",
        "The user's {r} died.",
        "death",
        subject="{r}",
        value="died",
    ),
    _rule(
        rf"{_I} (?:had|have had) to (?:put|have) {MY} (?P<r>{{rel}}) (?:down|put down)(?: .+)?",
        "The user's {r} died.",
        "death",
        subject="{r}",
        value="died",
    ),
    _rule(
        rf"{_I} (?:am|are|got|were|have been) {{adv}}(?P<s>married|engaged)(?: to)? (?P<v>(?-i:{NAME}))(?P<w> .+)?",
        "The user is {s} to {v}.",
        "partner",
    ),
    _rule(
        rf"{_I} (?:am|are|got) {{adv}}(?P<v>married|engaged|divorced|single|widowed|separated)",
        "The user is {v}.",
        "relationship",
    ),
    _rule(
        rf"(?:{_I} (?:broke|split|have split|have broken) up|{_I} (?:have )?called off (?:the|our) (?:wedding|engagement)"
        r"|(?:i )?gave (?:him|her|them) (?:his|her|their|the) ring back)(?: (?P<w>.+))?",
        "The user's relationship ended.",
        "partner",
        value="",
        kind="ends",
    ),
    _rule(rf"{_I} have (?P<v>{{num}} (?:children|kids|sons|daughters|boys|girls))", "The user has {v}.", "children"),
    _rule(
        rf"{_I} have (?P<v>{{num}} (?:[\w-]+ )?(?P<r>{{pet}}|brother|sister|sibling|cousin|grandchild|nephew|niece)(?:s|es|ren)?)",
        "The user has {v}.",
        "{r} count",
    ),
    _rule(
        rf"{_I} (?:have|own|adopted|(?:have )?{{adv}}(?:got|adopted|bought)) (?P<v>an? (?:[\w-]+ ){{0,2}}?(?P<r>{{pet}}))",
        "The user has {v}.",
        "{r}",
    ),
    _rule(
        rf"(?P<v>(?-i:{NAME})) is {MY} (?P<r>{{rel}})(?:'s name)?",
        "The user's {r} is called {v}.",
        "name",
        subject="{r}",
    ),
    _rule(
        rf"{MY} (?P<r>{{rel}}),? (?P<n>(?-i:{NAME}))?,? ?(?:is|(?:has )?(?:just )?turned) (?P<v>\d{{1,3}})(?: years old)?",
        "The user's {r} {n} is {v} years old.",
        "age",
        subject="{r} {n}",
    ),
    _rule(
        rf"{MY} (?P<r>{{rel}}),? (?P<n>(?-i:{NAME}))?,? ?(?:{{adv}}lives?|is {{adv}}living|is based) (?P<p>in|at|on|near|with) (?P<v>.+)",
        "The user's {r} {n} lives {p} {v}.",
        "home",
        subject="{r} {n}",
    ),
    _rule(
        rf"{MY} (?P<r>{{rel}}),? (?P<n>(?-i:{NAME}))?,? ?(?:has )?{{adv}}moved (?:back )?to (?P<v>.+)",
        "The user's {r} {n} lives in {v}.",
        "home",
        subject="{r} {n}",
        past=True,
    ),
    _rule(
        rf"{MY} (?P<r>{{rel}}),? (?P<n>(?-i:{NAME}))?,? ?(?:works as|is) (?P<v>(?:an? |the )(?:{{job}}))(?: .+)?",
        "The user's {r} {n} is {v}.",
        "job",
        subject="{r} {n}",
    ),
    _rule(
        rf"{MY} (?P<r>{{rel}}),? (?P<n>(?-i:{NAME}))?,? ?works (?P<p>as|at|for|in|on) (?P<v>.+)",
        "The user's {r} {n} works {p} {v}.",
        "work",
        subject="{r} {n}",
    ),
    _rule(
        rf"{MY} (?P<r>{{rel}}),? (?P<n>(?-i:{NAME}))?,? ?(?:is|has been) (?P<v>allergic to .+|(?:{{trait}})|scared of .+|afraid of .+)",
        "The user's {r} {n} is {v}.",
        "",
        subject="{r} {n}",
    ),
    _rule(
        rf"{MY} (?P<r>{{rel}}),? (?P<n>(?-i:{NAME}))?,? ?(?P<p>loves|likes|hates|plays|studies|drives|enjoys|teaches|collects|speaks|starts|eats|sleeps|takes|has) (?P<v>.+)",
        "The user's {r} {n} {p} {v}.",
        "",
        subject="{r} {n}",
    ),
    _rule(
        rf"{MY} (?P<r>{{rel}}),? (?P<n>(?-i:{NAME}))?,? ?is (?P<v>an? (?:[\w-]+ ?){{1,4}})",
        "The user's {r} {n} is {v}.",
        "kind",
        subject="{r} {n}",
    ),
    _rule(rf"{MY} (?P<r>{{rel}}) is (?P<v>(?-i:{NAME}))", "The user's {r} is called {v}.", "name", subject="{r}"),
]
_HEALTH = [
    _rule(rf"{_I} (?:am|are) (?:no longer|not(?=.+(?: any ?more| any longer| now)$)) (?P<v>{{trait}}|allergic to .+?)(?: any ?more| any longer| now)?", "The user is no longer {v}.", "diet", kind="ends"),
    _rule(rf"{_I} (?:am|are) not (?P<v>{{trait}}|allergic to .+)", "The user is not {v}.", "diet", kind="ends"),
    _rule(r"i am {adv}(?:severely |badly |deathly |very |slightly |mildly )?allergic to (?P<v>.+)", "The user is allergic to {v}.", "allergy"),
    _rule(r"i have (?:an?|a severe|a bad) (?P<v>[\w -]+?) allergy", "The user is allergic to {v}.", "allergy"),
    _rule(r"i have an? (?:severe |bad )?allergy to (?P<v>.+)", "The user is allergic to {v}.", "allergy"),
    _rule(rf"{_I} (?:am|are|have been|have gone|went|became|have become) {{adv}}(?P<v>{{trait}})(?: .+)?", "The user is {v}.", "diet"),
    _rule(r"i (?:have|suffer from|have been diagnosed with|was diagnosed with|live with|got diagnosed with) (?P<v>{condition})(?: .+)?", "The user has {v}.", "condition"),
    _rule(r"i {adv}(?:do not|never) (?P<v>(?:eat|drink|smoke|drive) ?.*)", "The user does not {v}.", ""),
    _rule(r"i cannot (?P<v>(?:eat|drink|have|swim|drive|digest|tolerate)\b ?.*)", "The user cannot {v}.", ""),
    _rule(r"i {adv}take (?P<v>.+ (?:mg|milligrams|tablets?|pills?|for my .+))", "The user takes {v}.", "medicine"),
]
_TASTE = [
    _rule(r"i {adv}prefer (?P<v>.+?) (?P<p>over|to|than|rather than|instead of) (?P<w>.+)", "The user prefers {v} {p} {w}.", "preference", value="{v} {p} {w}"),
    _rule(r"i {adv}prefer (?P<v>.+)", "The user prefers {v}.", "preference"),
    _rule(rf"{MY} (?:all[- ]time )?favou?rite (?P<t>[\w -]+?) (?:is|are|has to be|has always been) (?P<v>.+)", "The user's favourite {t} is {v}.", "favourite {t}"),
    _rule(rf"(?P<v>.+) (?:is|are) {MY} (?:all[- ]time )?favou?rite (?P<t>[\w ]+)", "The user's favourite {t} is {v}.", "favourite {t}"),
    _rule(rf"{_I} {{adv}}(?:hate|dislike|detest|loathe|cannot stand|can not stand|do not {{adv}}(?:like|enjoy)) (?P<v>.+)", "The user does not like {v}.", "dislike"),
    _rule(rf"{_I} (?:do not|no longer) {{adv}}(?P<x>play|collect|support|drive) (?:the )?(?P<v>.+?)(?: any ?more| any longer| now)", "The user no longer does: {x} {v}.", "hobby", kind="ends"),
    _rule(rf"{_I} {{adv}}(?:love|like|enjoy|adore|am into|am {{adv}}into|are into|am (?:a )?(?:big |huge |massive )?(?:fan of|keen on|fond of|mad about|obsessed with|passionate about)) (?P<v>.+)", "The user likes {v}.", "like"),
    _rule(rf"{MY} hobb(?:y is|ies are) (?P<v>.+)", "The user's hobby is {v}.", "hobby"),
    _rule(r"(?:in my free time|at weekends|on weekends),? i {adv}(?P<v>.+)", "In their free time the user likes to {v}.", "hobby"),
    _rule(r"i am (?:afraid|scared|terrified|frightened) of (?P<v>.+)", "The user is afraid of {v}.", "fear"),
    _rule(rf"{_I} {{adv}}(?:can |have been |am )?play(?:ing)? (?P<v>.+)", "The user plays {v}.", "plays"),
    _rule(rf"{_I} {{adv}}support (?P<v>.+)", "The user supports {v}.", "team", named=True),
    _rule(rf"{_I} {{adv}}collect (?P<v>.+)", "The user collects {v}.", "hobby"),
    _rule(r"i {adv}take my (?P<t>coffee|tea) (?P<v>.+)|i {adv}(?:have|drink) my (?P<t2>coffee|tea) (?P<v2>.+)", "The user takes their {t} {v}.", "{t}"),
    _rule(rf"{_I} {{adv}}drink (?P<v>.+)", "The user drinks {v}.", "drinks"),
    _rule(r"i am {adv}(?:learning|trying to learn) (?P<v>.+)|i (?:have )?{adv}started learning (?P<v2>.+)", "The user is learning {v}.", "learning"),
    _rule(r"i am {adv}(?:reading|halfway through) (?P<v>.+)", "The user is reading {v}.", "reading"),
    _rule(r"i am {adv}training for (?P<v>.+)", "The user is training for {v}.", "training"),
    _rule(r"i am {adv}(?:saving up for|saving for) (?P<v>.+)", "The user is saving for {v}.", "saving"),
    _rule(r"i am {adv}(?:working on|building|making|writing) (?P<v>an? .+|my .+)", "The user is working on {v}.", "project"),
]
_THINGS = [
    _rule(rf"(?:{MY}|the) (?P<t>{{code}}) (?:is|are|has changed to|is now)(?: now)? (?P<v>.+)", "The user's {t} is {v}.", "{t}"),
    _rule(rf"{_I} {{adv}}(?:keep|put|left|store|hid|hide) (?P<t>(?:the|my|our) .+?) (?P<v>{{place}} .+)", "The user keeps {t} {v}.", "place of {t}"),
    _rule(r"(?:the|my|our) (?P<t>(?:spare |car |house |front door )?(?:key|keys|passport|passports|tools?|will|torch|stopcock|fuse box|medicine|charger)) (?:is|are) (?P<v>{place} .+)", "The user's {t} is {v}.", "place of {t}"),
    _rule(rf"{_I} (?:have )?{{adv}}sold (?:my|our|the) (?P<v>[\w ]+)", "The user sold their {v}.", "{v}", kind="ends", past=True),
    _rule(rf"{_I} {{adv}}(?:drive|own) (?P<v>an? .+|my .+)", "The user drives {v}.", "car"),
    _rule(rf"{MY} car is (?P<v>an? .+)", "The user drives {v}.", "car"),
    _rule(r"i (?:wear|take|am)(?: an?)? (?P<v>size \d[\d./]*)(?: in)? ?(?P<t>shoes?|.*)", "The user's {t} size is {v}.", "{t} size"),
    _rule(rf"{_I} {{adv}}(?:wake up|get up) (?:at|around|about) (?P<v>.+)|{MY} alarm is set for (?P<v2>.+)", "The user wakes up at {v}.", "wake time"),
    _rule(rf"{_I} {{adv}}(?:go to bed|go to sleep) (?:at|around|about) (?P<v>.+)", "The user goes to bed at {v}.", "bed time"),
    _rule(rf"{_I} {{adv}}bank with (?P<v>.+)|{_I} (?:have )?{{adv}}(?:opened|opened an account) with (?P<v2>.+)", "The user banks with {v}.", "bank"),
]
_PLANS = [
    _rule(rf"{_I} got married (?:on|in) (?P<v>.+)|{MY} (?:wedding )?anniversary is (?:on )?(?P<v2>.+)", "The user's wedding anniversary is on {v}.", "anniversary"),
    _rule(rf"(?:{MY}|the) (?P<t>{{event}}) (?:is|are|has been|starts|begins|got moved to|is moved to|was)(?: now)?(?: {{adv}})?(?:booked |scheduled |set |moved |due )?(?:(?P<p>for|on|at|in|to|from)\b)? ?(?P<v>(?:the )?{{when}}.*)", "The user's {t} is {p} {v}.", "{t}"),
    _rule(rf"{_I} (?:have|have booked|booked|have got|{{adv}}got) (?P<t>an? {{event}}) (?:(?P<p>on|at|for|with|in|to)\b)? ?(?P<v>.*{{when}}.*)", "The user has {t} {p} {v}.", "{t}"),
    _rule(rf"{_I} (?:have |go to |play (?!the )|do )(?P<t>[\w -]+?) (?:every|on) (?P<v>{{dayname}}.*)", "The user has {t} every {v}.", "{t}"),
    _rule(rf"{_I} (?:am|are) {{adv}}(?P<x>going|flying|travelling|traveling|driving|off|heading) (?:on holiday )?to (?P<v>.+{{when}}.*|{{when}}.*)", "The user is {x} to {v}.", "trip"),
    _rule(rf"{_I} (?:am|are) {{adv}}(?P<x>going|flying|travelling|traveling) to (?P<v>(?-i:[A-Z]\w+)(?: .+)?)", "The user is {x} to {v}.", "trip"),
    _rule(rf"{_I} (?:start|am starting|begin) (?P<v>.*{{when}}.*)", "The user starts {v}.", "start"),
    _rule(rf"(?:{_I} (?:want|am hoping|am planning|plan|hope|intend|would (?:really )?(?:like|love))|{MY} (?:goal|dream|plan) is) to (?P<v>.+)", "The user wants to {v}.", "goal"),
    _rule(rf"{_I} (?:do not|no longer) want to (?P<v>.+?)(?: any ?more)?", "The user no longer wants to {v}.", "goal", kind="ends"),
]
GENERAL = [
    _rule(rf"{MY} (?P<t>(?:[\w'-]+ ){{0,3}}[\w'-]+) (?:is|are) (?:called |named )(?P<v>.+)", "The user's {t} is called {v}.", "name", subject="{t}"),
    _rule(rf"{MY} (?P<t>(?:[\w'-]+ ){{0,3}}[\w'-]+) (?:is|are) (?P<v>(?:an? |the |in |on |at |with )?(?:(?-i:[A-Z][\w'-]*)|\d[\w.:/-]*).*)", "The user's {t} is {v}.", "{t}"),
]

RULES: tuple[Rule, ...] = (*_IDENTITY, *_HOME, *_WORK, *_HEALTH, *_PLANS, *_PEOPLE, *_TASTE, *_THINGS, *GENERAL)
"""In the order they are tried."""
