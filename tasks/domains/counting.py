"""Counting: legs of animals, one bits of a number, numbers that pass a filter."""

from collections.abc import Mapping

from tasks.domains.kind import DomainKind, Entry, Level, Rendered

LEGS = {
    **dict.fromkeys(("snake", "sea slug", "jellyfish", "flatworm", "leech"), 0),
    **dict.fromkeys(("chicken", "bird", "human", "duck"), 2),
    **dict.fromkeys(("dog", "cat", "cow", "horse", "lion", "elephant", "giraffe", "tiger", "deer", "sheep"), 4),
    **dict.fromkeys(
        ("insect", "ant", "butterfly", "beetle", "bee", "wasp", "grasshopper", "cricket", "cockroach", "firefly"), 6
    ),
    **dict.fromkeys(("spider", "scorpion"), 8),
    **dict.fromkeys(("crab", "lobster", "shrimp"), 10),
}
"""Animals whose number of legs is common knowledge.

reasoning-gym also asks for starfish (5 arms), mantis and woodlouse: left out.
"""

_PLURALS = {
    "butterfly": "butterflies",
    "firefly": "fireflies",
    "leech": "leeches",
    "cockroach": "cockroaches",
    **{same: same for same in ("jellyfish", "sheep", "deer")},
}


def _legs(entry: Entry, settings: Mapping[str, int]) -> Rendered | None:
    animals: Mapping[str, int] = entry["metadata"]["animals"]
    if not all(animal in LEGS for animal in animals):
        return None
    named = [
        f"{count} {animal if count == 1 else _PLURALS.get(animal, animal + 's')}" for animal, count in animals.items()
    ]
    products = [count * LEGS[animal] for animal, count in animals.items()]
    total = sum(products)
    if str(total) != entry["answer"]:
        return None
    pairs = zip(named, animals.items(), products, strict=True)
    steps = " ".join(f"{name}: {count} * {LEGS[animal]} = {product}." for name, (animal, count), product in pairs)
    if len(products) > 1:
        steps += f" {' + '.join(map(str, products))} = {total}."
    identity = ", ".join(sorted(f"{animal} {count}" for animal, count in animals.items()))
    return Rendered(f"How many legs do {', '.join(named)} have in total?", str(total), steps, identity=identity)


def _bits(entry: Entry, settings: Mapping[str, int]) -> Rendered | None:
    """Halve, rounding down, and count the odd numbers met on the way."""
    number = int(entry["metadata"]["number"])
    answer = number.bit_count()
    if str(answer) != entry["answer"]:
        return None
    halves = [number >> shift for shift in range(number.bit_length())]
    odd = [str(half) for half in halves if half % 2]
    steps = f"Halving: {', '.join(map(str, halves))}. Odd: {', '.join(odd)}: {answer}."
    return Rendered(f"How many 1 bits has the number {number} in binary?", str(answer), steps)


def _filter(entry: Entry, settings: Mapping[str, int]) -> Rendered | None:
    """Say of each number whether it stays.

    Our wording always says what to keep; numbers equal to the bound are not asked about.
    """
    data = entry["metadata"]
    numbers = [int(number) for number in data["original_numbers"]]
    bound = int(data["filter_value"])
    if bound in numbers or len(set(numbers)) < len(numbers):
        return None
    larger = data["operation"] in ("keep_larger", "remove_smaller")
    kept = [number for number in numbers if (number > bound) == larger]
    if kept != [int(number) for number in data["result"]]:
        return None
    verdicts = ", ".join(f"{number} {'yes' if number in kept else 'no'}" for number in numbers)
    side = "larger" if larger else "smaller"
    question = f"Keep the numbers {side} than {bound}: {', '.join(map(str, numbers))}"
    return Rendered(question, ", ".join(map(str, kept)) or "none", f"{verdicts}.")


KINDS = (
    DomainKind(
        name="leg_counting",
        field="counting",
        dataset="leg_counting",
        form="integer",
        instruction="Count the legs of all the animals. The answer is one whole number.",
        levels=(
            Level({"min_animals": 2, "max_animals": 2, "min_instances": 1, "max_instances": 5}, 72),
            Level({"min_animals": 2, "max_animals": 3, "min_instances": 1, "max_instances": 9}, 96),
            Level({"min_animals": 3, "max_animals": 6, "min_instances": 1, "max_instances": 15}, 176),
        ),
        knobs={"min_animals": (1, 10), "max_animals": (1, 10), "min_instances": (1, 100), "max_instances": (1, 100)},
        render=_legs,
    ),
    DomainKind(
        name="count_bits",
        field="counting",
        dataset="count_bits",
        form="integer",
        instruction="Count the ones in the binary form. The answer is one whole number.",
        levels=(
            Level({"min_n": 1, "max_n": 2_000}, 128),
            Level({"min_n": 1_000, "max_n": 20_000}, 176),
            Level({"min_n": 10_000, "max_n": 1_000_000}, 256),
        ),
        knobs={"min_n": (1, 2**31 - 1), "max_n": (2, 2**31 - 1)},
        render=_bits,
    ),
    DomainKind(
        name="number_filtering",
        field="counting",
        dataset="number_filtering",
        form="integers",
        instruction="Keep the numbers that fit, in their order, separated by commas. If none fits, the answer is none.",
        levels=(
            Level({"min_numbers": 3, "max_numbers": 4, "min_value": 1, "max_value": 99}, 64),
            Level({"min_numbers": 4, "max_numbers": 6, "min_value": 1, "max_value": 999}, 96),
            Level({"min_numbers": 6, "max_numbers": 10, "min_value": -999, "max_value": 999}, 176),
        ),
        knobs={
            "min_numbers": (2, 20),
            "max_numbers": (2, 20),
            "min_value": (-100_000, 100_000),
            "max_value": (-100_000, 100_000),
        },
        render=_filter,
        fixed={"min_decimals": 0, "max_decimals": 0},
    ),
)
