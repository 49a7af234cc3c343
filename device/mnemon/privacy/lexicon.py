# ruff: noqa: E501 - word lists
"""Words a reader has to know to tell a private name from a word or from the name of something public."""

from __future__ import annotations

from mnemon.words import CALENDAR_WORDS

NAMES_THAT_ARE_WORDS = CALENDAR_WORDS | frozenset(
    """
    amber angel art ash aspen aurora autumn bay bear bill bliss blue bob brook brooks buck bud buddy candy carol chance
    charity chase chip christian chuck clay cliff colt coral crystal dale daisy dawn dean destiny dick dolly don dot
    drew duke earl early eve faith fern flora forest forrest frank gale gene ginger glen grace grant guy hank happy
    harmony harper hazel heath heather holly honey honor honour hope hunter iris ivy jack jade jasmine jay jerry jewel
    jimmy john johnny joy juniper justice karma kit lance lane laurel lark liberty lily lotus love lucky major margarita
    mark mason max maya melody mercy merit miles milo misty modest moss myrtle nick noble nova oak olive page pat
    patience patty peace pearl penny pepper petal peter piper pip pod poppy precious prudence queen rain randy ray red
    reed rich river rob robin rock rod roman rose rosemary rowan ruby rusty sable saffron sage sandy savannah scarlet
    scout sequoia serenity sharon shelly sienna sierra skip sky sonny star stella sterling stew stone storm sue summer
    sunny swift tab taffy teddy temperance terry tiger tony topaz trinity trip tucker unity valentine velvet verity
    victor violet viola wade ward warren will willow winter woody wren york young zephyr
    baker banks barber barn bell berry bird black bloom bond bone booth bowman bridge bright brown bush butcher butler
    cannon carpenter carter case chambers church clay cloud cook cooper cotton court cross day dear derby diamond dove
    draper drinkwater duck dyer farmer field fields fish fisher flood flower flowers flynt ford fox freeman fresh friend
    frost gardener garland gates glass gold golden good goodman gray green grey hale hall hammer hand hardy hart hawk
    hill holiday holmes hood horn house hunt judge key keys king knight lamb large law leach lemon light little lock
    long lord low makepeace mann may mayor mead mill miller mills moon moor moore morrow nail nightingale north nurse
    parker parish park parks parrot parsons payne peach pepper pike pitt plant pond pool poole pope porter potter power
    price prior proctor rabbit rains read reader rice ring rivers roach roads root rush salmon salt sargent savage
    seal sharp shepherd shore short silver singer skinner slater small smart smith snow south spark speed spring stark
    steel street strong summers swan tanner taylor thorn tower trout turner underwood wall walker walls ward water
    waters way weaver webb wells west wheeler white wild winters wise wolf wood woods wright yard
    """.split()
)
"""Common words that are also people's names; as a name they are written with a capital inside a sentence."""

AFTER_A_WORD = frozenset(
    """
    i we you he she it they me us him her them my our your his their its the a an this that these those there some any
    i'd i'll i'm i've you're you've you'll you'd we're we've it's he's she's they're there's not be of all
    everyone everybody anyone someone somebody people
    """.split()
)
"""What follows a verb that begins a sentence ("Will you", "Mark the"), and does not follow a name."""

TIME_PREPOSITIONS = frozenset(
    "in on by until till since during of from to early mid late last next this every through before after".split()
)

INSTITUTIONS = frozenset(
    """
    university college school street road avenue bridge station square park museum cathedral church hospital airport
    falls lake river mountain mountains county state city town bay island islands beach valley tower palace castle tech
    institute foundation prize award awards theorem theory law laws principle equation equations disease syndrome
    distribution algorithm effect paradox method test scale process inequality lemma conjecture constant number numbers
    series transform machine war treaty day days dynasty revolution constitution act bank stadium theatre theater opera
    festival marathon bible gospel movie film album song novel
    """.split()
)
"""What follows a name that has become part of something public: Bayes' theorem, Victoria Station."""

COUNTRIES = frozenset(
    line.strip().lower()
    for line in """
    Afghanistan,Albania,Algeria,Andorra,Angola,Argentina,Armenia,Australia,Austria,Azerbaijan,Bahamas,Bahrain,Bangladesh,
    Barbados,Belarus,Belgium,Belize,Benin,Bhutan,Bolivia,Bosnia,Botswana,Brazil,Brunei,Bulgaria,Burundi,Cambodia,Cameroon,
    Canada,Chad,Chile,China,Colombia,Congo,Croatia,Cuba,Cyprus,Czechia,Denmark,Dominica,Ecuador,Egypt,Estonia,Ethiopia,
    Fiji,Finland,France,Gabon,Gambia,Germany,Ghana,Greece,Grenada,Guatemala,Guinea,Guyana,Haiti,Honduras,Hungary,Iceland,
    India,Indonesia,Iran,Iraq,Ireland,Israel,Italy,Jamaica,Japan,Kazakhstan,Kenya,Kosovo,Kuwait,Laos,Latvia,Lebanon,
    Lesotho,Liberia,Libya,Liechtenstein,Lithuania,Luxembourg,Madagascar,Malawi,Malaysia,Maldives,Mali,Malta,Mauritius,
    Mexico,Moldova,Monaco,Mongolia,Montenegro,Morocco,Mozambique,Myanmar,Namibia,Nepal,Netherlands,New Zealand,Nicaragua,
    Niger,Nigeria,North Korea,Norway,Oman,Pakistan,Palestine,Panama,Paraguay,Peru,Philippines,Poland,Portugal,Qatar,
    Romania,Russia,Rwanda,Samoa,Saudi Arabia,Senegal,Serbia,Singapore,Slovakia,Slovenia,Somalia,South Africa,South Korea,
    Spain,Sri Lanka,Sudan,Sweden,Switzerland,Syria,Taiwan,Tajikistan,Tanzania,Thailand,Togo,Tonga,Tunisia,Turkey,Uganda,
    Ukraine,United Kingdom,United States,Uruguay,Uzbekistan,Venezuela,Vietnam,Yemen,Zambia,Zimbabwe,England,Scotland,
    Wales,Northern Ireland,Britain,Europe,Asia,Africa,America,USA,UK,EU,US,Antarctica,
    Alabama,Alaska,Arizona,Arkansas,California,Colorado,Connecticut,Delaware,Florida,Hawaii,Idaho,Illinois,Indiana,Iowa,
    Kansas,Kentucky,Louisiana,Maine,Maryland,Massachusetts,Michigan,Minnesota,Mississippi,Missouri,Montana,Nebraska,
    Nevada,New Hampshire,New Jersey,New Mexico,North Carolina,North Dakota,Ohio,Oklahoma,Oregon,Pennsylvania,
    Rhode Island,South Carolina,South Dakota,Tennessee,Texas,Utah,Vermont,Virginia,Washington,Wisconsin,Wyoming,
    Ontario,Quebec,Alberta,Manitoba,Victoria,Queensland
    """.replace("\n", "").split(",")
)
"""Countries and large regions: they name nobody, and after a comma they make what stands before them a place."""

NATIONS = frozenset(
    """
    english french german spanish italian portuguese dutch polish russian ukrainian greek turkish arabic hebrew hindi
    urdu bengali tamil mandarin cantonese chinese japanese korean vietnamese thai swedish norwegian danish finnish
    welsh scottish irish british american canadian australian indian mexican brazilian african asian european latin
    swahili catalan basque gaelic czech hungarian romanian bulgarian serbian croatian iranian persian farsi muslim
    christian jewish catholic protestant hindu buddhist sikh
    """.split()
)

PUBLIC_ATTRIBUTES = frozenset(
    """
    like dislike preference hobby plays team drinks reading learning fear car diet wishes trip goal language
    """.split()
)
"""What is said with a fact of these: tastes and pastimes, whose names are those of public things."""

PUBLIC_FIRMS = frozenset(
    """
    adobe aldi alphabet amazon american apple asda astrazeneca audi axa barclays bayer bbc bloomberg bmw boeing bosch
    british cambridge chase cisco citi coca deutsche disney ebay european facebook federal ford general goldman google
    great harvard honda hsbc hyundai ibm ikea imperial intel international jaguar johnson jpmorgan khan lehman lloyds
    lockheed mercedes meta microsoft mit moderna morgan national natwest nestle netflix new nike nintendo nissan nokia
    nvidia open openai oracle oxford panasonic pfizer philips porsche princeton roche rolls royal ryanair samsung
    santander siemens silicon sony spotify standard stanford starbucks swiss tesco tesla the toyota twitter uber ubs
    united visa volkswagen volvo walmart walt wells wikimedia world yale
    """.split()
)
"""First words of firms and institutions everybody knows; where one works there is private, that it exists is not."""
