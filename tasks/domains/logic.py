"""Logic and reading: siblings, family relations, syllogisms, who did what."""

import re
from collections.abc import Mapping
from functools import cache
from itertools import product

from tasks.domains.kind import DomainKind, Entry, Level, Rendered

_ASKED = re.compile(r"How many sisters does (\w+)'s brother have")
_COUNTS = {"brothers": re.compile(r"(\d+) brothers"), "sisters": re.compile(r"(\d+) sisters")}


def _siblings(entry: Entry, settings: Mapping[str, int]) -> Rendered | None:
    """The Alice-in-Wonderland question, with the sentence it leaves unsaid.

    All are brothers and sisters of one another.

    The generator also asks about the brother of a man it never introduces; those entries are left out. Half of ours,
    chosen by the parity of the numbers, ask about her sister's brothers instead, so that adding one is not always
    right.
    """
    text = entry["question"]
    asked = _ASKED.search(text)
    girl = text.split(" ", 1)[0]
    if asked is None or asked[1] != girl:
        return None
    brothers, sisters = (int(found[1]) for name in ("brothers", "sisters") if (found := _COUNTS[name].search(text)))
    if str(sisters + 1) != entry["answer"]:
        return None
    family = (
        f"{girl} has {brothers} brother{'s' * (brothers > 1)} and {sisters} sister{'s' * (sisters > 1)}, "
        "all of one family."
    )
    identity = f"{girl} {brothers} {sisters}"
    if (brothers + sisters) % 2:
        steps = f"The brother's sisters are {girl} and her sisters: {sisters} + 1 = {sisters + 1}."
        return Rendered(f"{family} How many sisters does {girl}'s brother have?", str(sisters + 1), steps, identity)
    steps = f"The sister has the same brothers as {girl}: {brothers}."
    return Rendered(f"{family} How many brothers does {girl}'s sister have?", str(brothers), steps, identity)


_MARRIED = re.compile(r"(\w+) is married to (\w+)\.")
_CHILDREN = re.compile(r"(\w+) is married to (\w+)\. They have (?:a child|children) called ([^.]+)\.")


def relation(story: str, one: str, other: str, men: frozenset[str]) -> str | None:
    """What `one` is to `other` by the marriages and children a story tells.

    None where it is not one of the twelve plain relations.
    """
    spouse: dict[str, str] = {}
    parents: dict[str, set[str]] = {}
    for man, woman in _MARRIED.findall(story):
        spouse |= {man: woman, woman: man}
    for a, b, names in _CHILDREN.findall(story):
        for child in re.split(r", | and ", names):
            parents[child] = {a, b}
    up = parents.get(other, set())
    grand = {elder for parent in up for elder in parents.get(parent, set())}
    male = one in men
    if one in up:
        return "father" if male else "mother"
    if other in parents.get(one, set()):
        return "son" if male else "daughter"
    if spouse.get(one) == other:
        return "husband" if male else "wife"
    if parents.get(one) and parents[one] == up:
        return "brother" if male else "sister"
    if one in grand:
        return "grandfather" if male else "grandmother"
    if parents.get(one) and parents[one] <= grand:
        return "uncle" if male else "aunt"
    return None


_WHY = {
    "father": "{other} is a child of {one}.",
    "mother": "{other} is a child of {one}.",
    "son": "{one} is a child of {other}.",
    "daughter": "{one} is a child of {other}.",
    "husband": "{one} is married to {other}.",
    "wife": "{one} is married to {other}.",
    "brother": "{one} and {other} have the same parents.",
    "sister": "{one} and {other} have the same parents.",
    "grandfather": "{other} is a child of a child of {one}.",
    "grandmother": "{other} is a child of a child of {one}.",
    "uncle": "{other} is a child of a sibling of {one}.",
    "aunt": "{other} is a child of a sibling of {one}.",
}


@cache
def _men() -> frozenset[str]:
    from reasoning_gym.graphs.family_relationships import FamilyRelationshipsConfig

    return frozenset(FamilyRelationshipsConfig().male_names)


def _family(entry: Entry, settings: Mapping[str, int]) -> Rendered | None:
    """Relations worked out again from the story.

    reasoning-gym's in-law answers are reversed; they never agree and fall out.
    """
    data = entry["metadata"]
    one, other = data["person1"], data["person2"]
    story = entry["question"].split("\n\n")[0]
    answer = relation(story, one, other, _men())
    if answer is None or answer != entry["answer"]:
        return None
    steps = f"{_WHY[answer].format(one=one, other=other)} {one} is a {'man' if one in _men() else 'woman'}."
    return Rendered(f"{story} What is {one} to {other}?", answer, steps)


_TERMS = re.compile(r"(All|No|Some) (\w+) are (not )?(\w+)")


def follows(premises: tuple[str, ...], conclusion: str) -> bool:
    """Whether the conclusion holds in every world where the premises do.

    Every class has a member (Aristotle's reading).

    Worlds are brute-forced: with n classes an individual is one of 2**n types, and a statement depends only on which
    types exist.
    """
    read = [_TERMS.fullmatch(text) for text in (*premises, conclusion)]
    statements = [(found[1] + ("-not" if found[3] else ""), found[2], found[4]) for found in read if found]
    if len(statements) != len(read):
        raise ValueError(f"not a categorical statement among {(*premises, conclusion)}")
    names = sorted({name for _, a, b in statements for name in (a, b)})
    types = [dict(zip(names, flags, strict=True)) for flags in product((False, True), repeat=len(names))]

    def holds(statement: tuple[str, str, str], world: list[dict[str, bool]]) -> bool:
        quantifier, a, b = statement
        both = any(one[a] and one[b] for one in world)
        only = any(one[a] and not one[b] for one in world)
        return {"All": not only, "No": not both, "Some": both, "Some-not": only}[quantifier]

    for present in product((False, True), repeat=len(types)):
        world = [kind for kind, exists in zip(types, present, strict=True) if exists]
        if not all(any(one[name] for one in world) for name in names):
            continue
        if all(holds(premise, world) for premise in statements[:-1]) and not holds(statements[-1], world):
            return False
    return True


def _syllogism(entry: Entry, settings: Mapping[str, int]) -> Rendered | None:
    """Valid or not, by brute force over all worlds.

    The worked solution links the classes or says that nothing does.
    """
    data = entry["metadata"]
    premises = (data["premise1"], data["premise2"])
    valid = follows(premises, data["conclusion"])
    if valid != (entry["answer"] == "Yes"):
        return None
    found = [_TERMS.fullmatch(text) for text in premises]
    middle = {found[0][2], found[0][4]} & {found[1][2], found[1][4]} if found[0] and found[1] else set()
    if len(middle) != 1:
        return None
    verdict = "must" if valid else "need not"
    steps = f"The link is {middle.pop()}. {data['conclusion']} {verdict} hold."
    question = (
        f"{premises[0]}. {premises[1]}. Does it follow that {data['conclusion'][0].lower()}{data['conclusion'][1:]}?"
    )
    return Rendered(question, "yes" if valid else "no", steps)


def _needle(entry: Entry, settings: Mapping[str, int]) -> Rendered | None:
    """Who did it: exactly one sentence may fit, and names must be plain letters."""
    story, question = entry["question"].split("\n")
    asked = question.removeprefix("Who ").split("?")[0]
    sentences = [sentence for sentence in story.strip().removesuffix(".").split(". ")]
    fitting = [sentence for sentence in sentences if sentence.endswith(f" {asked}")]
    names = [sentence.split(" ", 1)[0] for sentence in sentences]
    if (
        len(fitting) != 1
        or len(set(names)) < len(names)
        or not all(re.fullmatch(r"[A-Z][a-z]+", name) for name in names)
    ):
        return None
    if fitting[0] != f"{entry['answer']} {asked}":
        return None
    return Rendered(f"{story.strip()} Who {asked}?", entry["answer"].lower(), f"{fitting[0]}.")


KINDS = (
    DomainKind(
        name="siblings",
        field="logic",
        dataset="aiw",
        form="integer",
        instruction="Think about who belongs to the family. The answer is one whole number.",
        levels=(Level({"max_entities": 12}, 56), Level({"max_entities": 60}, 56)),
        knobs={"max_entities": (2, 10_000)},
        render=_siblings,
        fixed={"task_type_weights": [1.0, 0.0, 0.0]},
    ),
    DomainKind(
        name="family_relationships",
        field="logic",
        dataset="family_relationships",
        form="word",
        instruction="Name the relation. The answer is one word, like mother or son.",
        levels=(
            Level({"min_family_size": 4, "max_family_size": 4}, 48),
            Level({"min_family_size": 5, "max_family_size": 7}, 48),
            Level({"min_family_size": 8, "max_family_size": 11}, 48),
        ),
        knobs={"min_family_size": (4, 12), "max_family_size": (4, 12)},
        render=_family,
    ),
    DomainKind(
        name="syllogism",
        field="logic",
        dataset="syllogism",
        form="word",
        instruction="Say whether it must follow. The answer is yes or no.",
        levels=(Level({}, 64),),
        knobs={},
        render=_syllogism,
        fixed={"inversion_probability": 0.0, "invalid_ratio": 0.5},
        open_answers=False,
    ),
    DomainKind(
        name="needle_haystack",
        field="reading",
        dataset="needle_haystack",
        form="word",
        instruction="Find the person in the text. The answer is one name.",
        levels=(
            Level({"min_num_statements": 3, "max_num_statements": 4}, 56),
            Level({"min_num_statements": 5, "max_num_statements": 8}, 56),
            Level({"min_num_statements": 10, "max_num_statements": 20}, 56),
        ),
        knobs={"min_num_statements": (2, 60), "max_num_statements": (2, 60)},
        render=_needle,
    ),
)
