"""Arithmetic: sums, products, greatest common divisors, least common multiples, fractions."""

import math
from collections.abc import Mapping

from tasks.domains.kind import DomainKind, Entry, Level, Rendered


def _sum(entry: Entry, settings: Mapping[str, int]) -> Rendered | None:
    expression: str = entry["metadata"]["expression"]
    parts = expression.split(" ")
    total = int(parts[0])
    steps = []
    for sign, term in zip(parts[1::2], parts[2::2], strict=True):
        after = total + int(term) if sign == "+" else total - int(term)
        steps.append(f"{total} {sign} {term} = {after}.")
        total = after
    if str(total) != entry["answer"]:
        return None
    return Rendered(f"What is {expression}?", str(total), " ".join(steps))


def _product(entry: Entry, settings: Mapping[str, int]) -> Rendered | None:
    """a × b by the tens of b: 12 * 34 = 12 * 30 + 12 * 4 = 360 + 48 = 408."""
    a, b = (int(part) for part in entry["metadata"]["expression"].split(" * "))
    if str(a * b) != entry["answer"]:
        return None
    if b > a:
        a, b = b, a
    digits = str(a)
    pieces = [int(digit) * 10 ** (len(digits) - place - 1) for place, digit in enumerate(digits) if digit != "0"] or [0]
    steps = f"{a} * {b} = {a * b}."
    if len(pieces) > 1:
        split = " + ".join(f"{piece} * {b}" for piece in pieces)
        parts = " + ".join(str(piece * b) for piece in pieces)
        steps = f"{split} = {parts} = {a * b}."
    question = f"What is {entry['metadata']['expression']}?"
    return Rendered(question, str(a * b), steps, identity=f"{min(a, b)} * {max(a, b)}")


def _gcd(entry: Entry, settings: Mapping[str, int]) -> Rendered | None:
    """Euclid's remainders, largest number first, for two numbers."""
    numbers = [int(number) for number in entry["metadata"]["numbers"]]
    answer = math.gcd(*numbers)
    if len(numbers) != 2 or str(answer) != entry["answer"]:
        return None
    big, small = max(numbers), min(numbers)
    steps = []
    while small:
        steps.append(f"{big} - {small} * {big // small} = {big % small}.")
        big, small = small, big % small
    listed = ", ".join(map(str, sorted(numbers)))
    question = f"What is the greatest common divisor of {numbers[0]} and {numbers[1]}?"
    return Rendered(question, str(answer), " ".join(steps), identity=listed)


def _lcm(entry: Entry, settings: Mapping[str, int]) -> Rendered | None:
    """Multiples of the larger number until the smaller one divides."""
    numbers = [int(number) for number in entry["metadata"]["numbers"]]
    answer = math.lcm(*numbers)
    if len(numbers) != 2 or str(answer) != entry["answer"]:
        return None
    big, small = max(numbers), min(numbers)
    times = answer // big
    if times > 12:
        return None
    multiples = ", ".join(str(big * factor) for factor in range(1, times + 1))
    question = f"What is the least common multiple of {numbers[0]} and {numbers[1]}?"
    return Rendered(
        question,
        str(answer),
        f"Multiples of {big}: {multiples}. {answer} = {small} * {answer // small}.",
        f"{small}, {big}",
    )


def _fraction(entry: Entry, settings: Mapping[str, int]) -> Rendered | None:
    data = entry["metadata"]
    top, bottom = int(data["numerator"]), int(data["denominator"])
    divisor = math.gcd(top, bottom)
    short = (top // divisor, bottom // divisor)
    if short != (data["simplified_numerator"], data["simplified_denominator"]) or short[1] == 1:
        return None
    steps = f"Both divide by {divisor}: {top} / {divisor} = {short[0]}, {bottom} / {divisor} = {short[1]}."
    return Rendered(f"Write {top}/{bottom} in lowest terms.", f"{short[0]}/{short[1]}", steps)


def _range(name: str, low: int, high: int) -> dict[str, int]:
    return {f"min_{name}": low, f"max_{name}": high}


KINDS = (
    DomainKind(
        name="chain_sum",
        field="arithmetic",
        dataset="chain_sum",
        form="integer",
        instruction="Add and subtract from left to right. The answer is one whole number.",
        levels=(
            Level(_range("terms", 2, 3) | _range("digits", 1, 1), 48),
            Level(_range("terms", 2, 3) | _range("digits", 1, 2), 64),
            Level(_range("terms", 3, 4) | _range("digits", 2, 2), 80),
            Level(_range("terms", 4, 6) | _range("digits", 2, 3), 144),
        ),
        knobs={"min_terms": (2, 10), "max_terms": (2, 10), "min_digits": (1, 6), "max_digits": (1, 6)},
        render=_sum,
    ),
    DomainKind(
        name="products",
        field="arithmetic",
        dataset="products",
        form="integer",
        instruction="Multiply the numbers. The answer is one whole number.",
        levels=(
            Level(_range("terms", 2, 2) | _range("digits", 1, 2), 72),
            Level(_range("terms", 2, 2) | _range("digits", 2, 2), 80),
            Level(_range("terms", 2, 2) | _range("digits", 2, 3), 96),
        ),
        knobs={"min_digits": (1, 5), "max_digits": (1, 5)},
        render=_product,
    ),
    DomainKind(
        name="gcd",
        field="arithmetic",
        dataset="gcd",
        form="integer",
        instruction="Find the greatest common divisor. The answer is one whole number.",
        levels=(
            Level(_range("value", 2, 60), 112),
            Level(_range("value", 2, 200), 144),
            Level(_range("value", 10, 1000), 208),
        ),
        knobs={"min_value": (1, 1_000_000), "max_value": (2, 1_000_000)},
        render=_gcd,
    ),
    DomainKind(
        name="lcm",
        field="arithmetic",
        dataset="lcm",
        form="integer",
        instruction="Find the least common multiple. The answer is one whole number.",
        levels=(Level(_range("value", 2, 80), 112), Level(_range("value", 2, 150), 128)),
        knobs={"min_value": (1, 10_000), "max_value": (2, 10_000)},
        render=_lcm,
    ),
    DomainKind(
        name="fraction",
        field="arithmetic",
        dataset="fraction_simplification",
        form="fraction",
        instruction="Write the fraction in lowest terms, like 2/3.",
        levels=(
            Level(_range("value", 1, 24) | _range("factor", 2, 12), 72),
            Level(_range("value", 1, 40) | _range("factor", 2, 20), 80),
            Level(_range("value", 1, 200) | _range("factor", 2, 50), 96),
        ),
        knobs={"min_value": (1, 10_000), "max_value": (2, 10_000), "min_factor": (1, 1_000), "max_factor": (1, 1_000)},
        render=_fraction,
        fixed={"styles": ("plain",)},
    ),
)
