# ruff: noqa: E501 - word lists
"""The pieces the rules of everyday first-person English are made of: relatives, jobs, events, days and the like."""

from __future__ import annotations

from typing import Final

from mnemon.memory.dates import DATE_PATTERN

# fmt: off
_PETS = "dog|cat|puppy|kitten|rabbit|bunny|hamster|guinea pig|parrot|budgie|cockatiel|canary|horse|pony|goldfish|fish|koi|tortoise|turtle|snake|lizard|gecko|ferret|rat|mouse|gerbil|hen|chicken|goat|donkey|pig|bird|hound|terrier|labrador|spaniel|poodle|greyhound"
_ONE = "wife|husband|partner|girlfriend|boyfriend|fiance|fiancé|fiancee|fiancée|mum|mom|mother|mam|dad|father|boss|manager|landlord|landlady|dentist|doctor|gp|therapist|physio|flatmate|roommate|housemate|spouse|accountant|vet|hairdresser|supervisor|coach|ex|ex-wife|ex-husband|nanny|au pair|childminder|cleaner"
_KIN = "brother|sister|son|daughter|child|kid|baby|toddler|uncle|aunt|auntie|cousin|nephew|niece|grandson|granddaughter|grandma|grandpa|grandmother|grandfather|gran|nan|granny|grandad|mother-in-law|father-in-law|sister-in-law|brother-in-law|stepmum|stepdad|stepson|stepdaughter|half-sister|half-brother|half sister|half brother|godson|goddaughter|twin|friend|best friend|neighbour|neighbor|colleague|teacher|mate|boat|car|van|bike|lodger|assistant|band|blog|company"
_WHICH = "older|younger|little|big|elder|eldest|youngest|oldest|middle|twin|late|new|old|only|second|first"
_EVENT = r"(?:[a-z'-]+ ){0,3}?(?:appointment|meeting|flight|train|exam|test|interview|operation|surgery|check-?up|scan|wedding|party|concert|gig|class|lesson|lessons|practice|training|rehearsal|session|shift|deadline|marathon|race|holiday|trip|jabs?|vaccination|viewing|viva|graduation|reunion|hearing|audition|performance|recital|match|game|tournament|review|parents' evening|parents evening|MOT|ferry|coach|bus|delivery|move|moving day|due date|slot|anniversary|birthday|christening|funeral|baptism|dinner|lunch|conference|retreat|course|haircut|eye test|blood test)"
_JOBS = "nurse|doctor|teacher|plumber|carpenter|chef|cook|lawyer|solicitor|barrister|accountant|architect|baker|barista|barber|bartender|bookkeeper|builder|butcher|bus driver|driver|cashier|cleaner|coach|dentist|designer|developer|programmer|editor|electrician|engineer|farmer|firefighter|fireman|florist|gardener|hairdresser|journalist|judge|librarian|manager|mechanic|midwife|miner|musician|optician|painter|paramedic|pharmacist|photographer|physio|physiotherapist|pilot|police officer|policeman|policewoman|postman|postwoman|potter|priest|professor|psychologist|radiographer|receptionist|researcher|roofer|sailor|scientist|secretary|shepherd|singer|social worker|soldier|surgeon|tailor|taxi driver|translator|tutor|vet|waiter|waitress|welder|writer|student|apprentice|freelancer|consultant|analyst|lecturer|caretaker|carer|joiner|bricklayer|locksmith|beekeeper|translator|actor|actress|dancer|director|economist|statistician|therapist|vicar|warehouse worker|shop assistant|civil servant|childminder|nanny|data scientist|sales rep|trader|banker|landlord"
_CONDITIONS = "asthma|diabetes|type 1 diabetes|type 2 diabetes|epilepsy|arthritis|eczema|migraines|hay fever|high blood pressure|adhd|autism|dyslexia|anaemia|anemia|ibs|crohn's|crohn's disease|coeliac disease|celiac disease|endometriosis|tinnitus|sleep apnoea|sleep apnea|depression|anxiety|psoriasis|gout|scoliosis|a pacemaker|a heart condition|a bad back|a bad knee|vertigo|lupus|glaucoma"
_TRAITS = "vegan|vegetarian|veggie|pescatarian|coeliac|celiac|diabetic|asthmatic|epileptic|teetotal|gluten[- ]free|lactose intolerant|dairy[- ]free|pregnant|colou?r[- ]?blind|left[- ]handed|right[- ]handed|dyslexic|autistic|short-sighted|deaf|blind|anaemic|kosher|halal|keto"
RELATIVES: Final = f"(?:(?:{_WHICH}) )?(?:{_ONE}|{_KIN}|{_PETS})"
"""People and animals of one's own life."""
NAME: Final = r"[A-ZÀ-Þ][\w'’-]*(?: (?:[A-ZÀ-Þ][\w'’-]*|de|van|von|der|of|the|da|al)){0,4}"
"""A name: words with capitals, and the small words within one."""
_TIME = (
    r"(?:\d{1,2}(?:[:.]\d{2})? ?(?:am|pm|a\.m\.|p\.m\.|o'clock)?|noon|midnight|half past \w+|quarter (?:past|to) \w+)"
)
_DAYNAME = r"(?:mon|tues|wednes|thurs|fri|satur|sun)days?"
_WHEN = (
    rf"(?:{DATE_PATTERN}|the day after tomorrow|tomorrow|tonight|today|(?:next|this|last) \w+|{_DAYNAME}"
    rf"|the \d{{1,2}}(?:st|nd|rd|th)|in (?:a|\w+) (?:day|week|month|year)s?|{_TIME}"
    r"|(?:january|february|march|april|may|june|july|august|september|october|november|december)\b)"
)
_CODE = r"(?:[a-z'&-]+ ){0,4}?(?:password|passcode|code|pin|pin number|number|combination|combo|postcode|username|login|plate|registration|network|ssid|serial|iban|reference|locker|desk|gate|seat|room|size|blood type|email|e-mail|address|phone|mobile|birthday|age|height|weight|star sign)"

PIECES: Final = {
    "pet": _PETS,
    "rel": RELATIVES,
    "event": _EVENT,
    "job": rf"(?:[\w-]+ ){{0,3}}?(?:{_JOBS})",
    "jobs": _JOBS,
    "condition": _CONDITIONS,
    "trait": _TRAITS,
    "name": NAME,
    "time": _TIME,
    "when": _WHEN,
    "dayname": _DAYNAME,
    "code": _CODE,
    "adv": r"(?:(?:really|absolutely|also|just|still|now|currently|both|always|usually|normally|generally|mostly|quite|truly|simply|recently|finally|only|totally|actually|even|often|particularly|especially) )*",
    "num": r"(?:one|two|three|four|five|six|seven|eight|nine|ten|\d{1,2})",
    "place": r"(?:in|on|at|near|outside|by|under|behind|inside|above|beside|next to|on top of)",
}
"""What the small words in a rule's braces stand for."""
