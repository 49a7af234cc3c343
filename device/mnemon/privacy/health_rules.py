# ruff: noqa: E501 - a rule reads best with its pattern on one line
"""Words on somebody's health: a condition, an injury, a treatment or a dose, where the sentence says whose it is.

A question about an illness as such ("what is epilepsy?") tells nothing of anybody and stays.
"""

from __future__ import annotations

import re
from typing import Final

from mnemon.memory.pieces import RELATIVES
from mnemon.privacy.pattern import B, E, PatternRule, rule

_PART: Final = (
    r"(?:rotator cuff|cruciate|achilles|hamstring|meniscus|disc|ankle|wrist|knee|hip|shoulder|elbow|spine|spinal|back|neck"
    r"|skull|jaw|rib|ribs|collarbone|femur|tibia|pelvis|toe|finger|heart|liver|kidney|lung|brain|eye|bowel|prostate|thyroid"
    r"|gallbladder|appendix|bladder|breast|skin|stomach|throat|ear|foot|leg|arm|hand)"
)
_HARM: Final = r"(?:tear|injury|sprain|strain|fracture|rupture|dislocation|surgery|operation|replacement|transplant|bypass|tumou?r|cancer|disease|failure|condition|infection|pain|biopsy|lesion|bleed|hernia)"
CONDITION: Final = (
    r"(?:HIV|AIDS|hepatitis(?: [A-E])?|(?:[\w-]{3,20} )?cancer|leuk(?:a)?emia|lymphoma|melanoma|(?:brain )?tumou?r"
    r"|(?:type [12] |gestational )?diabetes|epilepsy|epileptic (?:fits?|seizures?)|seizures|asthma|COPD|emphysema"
    r"|(?:rheumatoid )?arthritis|osteoporosis|(?:post[- ]?natal |post[- ]?partum |clinical )?depression|anxiety(?: disorder)?|panic attacks?"
    r"|bipolar(?: disorder)?|schizophrenia|psychosis|PTSD|OCD|ADHD|autism|asperger['’]?s|anorexia|bulimia|eating disorder|burnout"
    r"|addiction|alcoholism|dementia|alzheimer['’]?s|parkinson['’]?s|huntington['’]?s|multiple sclerosis|motor neurone disease|lupus"
    r"|crohn['’]?s(?: disease)?|colitis|IBS|endometriosis|PCOS|fibromyalgia|chronic fatigue|long covid|psoriasis|eczema|rosacea|shingles"
    r"|chlamydia|gonorrh(?:o)?ea|syphilis|herpes|HPV|infertility|miscarriages?|stillbirth|abortion|menopause|stroke|TIA|angina|arrhythmia"
    r"|heart (?:failure|attack|disease|condition|murmur)|kidney (?:failure|disease|stones?)|(?:high|low) blood pressure|hypertension|high cholesterol"
    r"|migraines?|vertigo|tinnitus|glaucoma|cataracts?|macular degeneration|sleep apno?ea|insomnia|gout|an(?:a)?emia|sciatica|scoliosis"
    r"|(?:hiatus |inguinal )?hernia|slipped disc|appendicitis|pneumonia|tuberculosis|sepsis|coeliac(?: disease)?|celiac(?: disease)?"
    r"|(?:hypo|hyper)thyroidism|thyroid (?:disease|condition|problems?)|cystic fibrosis|sickle cell|ha?emophilia|cirrhosis|endocarditis"
    r"|chemo(?:therapy)?|radiotherapy|dialysis|IVF|mastectomy|hysterectomy|vasectomy|colonoscopy|biopsy|methadone"
    r"|antidepressants|antipsychotics|antiretrovirals|beta blockers"
    rf"|{_PART} {_HARM}|(?:torn|broken|fractured|sprained|slipped|dislocated|ruptured|herniated) {_PART}"
    r"|an? (?:[\w-]{2,20} )?(?:disorder|syndrome|infection|overdose|diagnosis))"
)
"""What somebody may have or have had done; an ordinary word on its own names nobody's health."""
_KIND_OF: Final = r"(?:(?:an?|the|my|her|his|some|severe|mild|chronic|early|recent|late|advanced|mild|stage \w{1,5}|type [12]) ){0,4}"
_SOMEBODY = re.compile(
    rf"\b(?:(?:my|our|his|her) (?:[\w'’-]{{1,20}} )?{RELATIVES}|he|she|his|her|him|(?:he|she)['’](?:s|d|ll)"
    r"|(?:mum|mom|dad|grandma|grandpa|granny|nan|my [\w'’-]{1,20}['’]s))\b",
    re.IGNORECASE,
)
_LEARNING = re.compile(
    r"\b(?:essay|article|blog|lecture|paper|presentation|thesis|leaflet|poster|history of|charity|documentary|quiz|exam"
    r"|novel|film|character|in general|textbook|statistics|awareness)\b",
    re.IGNORECASE,
)


def of_somebody(sentence: str) -> bool:
    """Whether a sentence speaks of one person's life, not of an illness as a subject."""
    return bool(_SOMEBODY.search(sentence)) and not _LEARNING.search(sentence)


def _not_studied(sentence: str) -> bool:
    return not _LEARNING.search(sentence)


RULES: Final[tuple[PatternRule, ...]] = (
    rule("health, of somebody", "health", rf"{B}(?:(?:i|we|he|she|they|who)(?:['’](?:m|ve|s|re))?|(?:my|our|his|her)(?: [\w'’-]{{1,24}}){{1,3}}?)(?: (?:am|is|are|was|were|have|has|had|got|just|been|also|recently|now|still|being|getting|treated)){{0,5}} (?:diagnosed with|tested positive for|treated for|suffer(?:s|ing|ed)? from|living with|recovering from|have|has|had|got|on treatment for) {_KIND_OF}(?P<v>{CONDITION}){E}"),
    rule("health, mine", "health", rf"{B}(?:my|our|his|her|their|[A-Z][\w-]{{1,24}}['’]s) (?:(?:severe|mild|chronic|early|recent|late|worsening|stage \w{{1,5}}|type [12]) ){{0,3}}(?P<v>{CONDITION}){E}"),
    rule("health, in passing", "health", rf"{B}(?P<v>{CONDITION}){E}", sentence=of_somebody),
    rule("health, for a reason", "health", rf"{B}(?:i|i['’](?:m|ve|d)|me|my|we|our)\b[^.!?\n]{{0,80}}?\b(?:with|because of|due to|despite|given|after|from|since|thanks to|manag(?:e|es|ing)|control(?:s|ling)?|(?:having|have|had|got|getting|get)) {_KIND_OF}(?P<v>{CONDITION}){E}", sentence=_not_studied),
    rule("health, as one who has it", "health", rf"{B}(?:as|i am|i['’]m|being|i was|being|who is|who['’]s) (?:an? )?(?:\w{{2,12}} )?(?P<v>diabetic|epileptic|asthmatic|alcoholic|schizophrenic|h(?:a)?emophiliac|HIV[- ]positive|cancer (?:patient|survivor)|(?:recovering )?addict|amputee|wheelchair user){E}", sentence=_not_studied),
    rule("health, a state", "health", rf"{B}(?:i am|i['’]m|she is|he is|she['’]s|he['’]s|(?:my|our) [\w'’-]{{1,24}}(?: is|['’]s)) (?:\w{{1,12}} ){{0,2}}(?P<v>HIV[- ]positive|pregnant|suicidal|bipolar|diabetic|epileptic|asthmatic|anorexic|bulimic|alcoholic|autistic|schizophrenic|infertile|depressed|in remission|immunocompromised|terminally ill){E}"),
    rule("health, a dose", "health", rf"{B}(?:i['’]m on|i am on|i take|i was prescribed|i['’]ve been prescribed|takes|is on|prescribed(?: me| him| her)?) (?P<v>(?:\d[\d.,]{{0,8}} ?(?:mg|mcg|µg|ml|units) (?:of )?)?[a-z-]{{4,30}}(?: \d[\d.,]{{0,8}} ?(?:mg|mcg|µg|ml|units))|\d[\d.,]{{0,8}} ?(?:mg|mcg|µg) (?:of )?[a-z-]{{4,30}}){E}"),
)  # fmt: skip
