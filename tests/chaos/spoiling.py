"""How values, texts and files are spoilt at random: by hands, programs, disks and strangers."""

import os
import random
from pathlib import Path

ODD_TEXTS = [
    "", " ", "-", "--", "0", "-1", "1e999", "nan", "inf", "-inf", "1e-400", str(2**63), "1" + "0" * 30, "9" * 5000,
    "٣", "é", "名前", "\u202eabc", "\x1b]0;t\x07", "\t", "a\nb", "../x", "../../x", "~", "~nobody/x",
    "~no-such-user/m", "/proc", "/proc/nowhere/x", ".", "..", "x" * 300, "x" * 5000, "a/b", "%s", "{}", "${HOME}",
    "*", "a@1", "@", "a@", "a@-1", "@1", "rocky@" + "9" * 30, "rocky@x", "rocky@ 1", "base@0", "base@1", "\ud800",
    "x\0y", "\0", "null", "true", "[1", "{a: 1}", "'", '"', "=", "a=b", "os:path", "json:loads", "no_such_module:x",
    ":", "a:b:c", "[bold]x[/]", "[/]", "con.", "x.html/", "./", "-h", "@file",
]  # fmt: skip
"""Words that people, scripts and strangers give."""


def odd_value(rng: random.Random) -> object:
    """A value that hardly any place expects."""
    deep: object = 0
    for _ in range(rng.choice([3, 40, 200])):
        deep = [deep]
    return rng.choice(
        [None, True, False, -1, 0, 1, 7, 2**31, 2**63, 10**30, -(10**30), 0.5, -0.5, 1.5, 1e308, 1e-320, [], [[]], {}]
        + [{"": 0}, {"x": {"y": []}}, [None], [0, "a"], [1, 2, 3], deep, float("nan"), float("inf"), "nan", "1e-3"]
        + [rng.choice(ODD_TEXTS).replace("\ud800", "")] * 6
    )


def spoil(rng: random.Random, data: object) -> str:
    """Change one place of nested lists and mappings; returns what was done."""
    places = list(_places(data))
    if not places:
        return "nothing"
    holder, key = rng.choice(places)
    change = rng.randrange(6)
    if change == 0:
        del holder[key]  # type: ignore[arg-type]
        return f"{key} taken out"
    if change == 1 and isinstance(holder, dict):
        new = rng.choice([str(key)[:-1], f"{key}x", str(key).upper(), *ODD_TEXTS[:30]]).replace("\ud800", "")
        holder[new] = holder.pop(key)
        return f"{key} renamed {new[:30]!r}"
    if change == 2:
        other, place = rng.choice(places)
        if holder is other or not _contains(other[place], holder):  # type: ignore[index]
            holder[key] = other[place]  # type: ignore[index]
        return f"{key} = what stands at {place}"
    if change == 3:
        holder[key] = [holder[key]]  # type: ignore[index]
        return f"{key} in a list"
    value = odd_value(rng)
    holder[key] = value  # type: ignore[index]
    return f"{key} = {str(value)[:40]!r}"


def _places(data: object, depth: int = 0) -> list[tuple[dict | list, object]]:
    """(container, key or index) of everything inside, at most some thousand."""
    if depth > 12 or not isinstance(data, dict | list):
        return []
    found: list[tuple[dict | list, object]] = []
    for key, inner in data.items() if isinstance(data, dict) else enumerate(data[:50]):
        found += [(data, key), *_places(inner, depth + 1)]
        if len(found) > 3000:
            break
    return found


def _contains(value: object, part: object) -> bool:
    """Whether `part` stands somewhere in `value`: it must not be put into itself."""
    if value is part:
        return True
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(_contains(each, part) for each in inner)


def spoil_text(rng: random.Random, text: str) -> str:
    """Some characters or lines gone, doubled, moved, or replaced by odd ones."""
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(text) + 1)
        change = rng.randrange(4)
        if change == 0:
            text = text[:at] + text[at + rng.choice([1, 1, 5, 60]) :]
        elif change == 1:
            text = (
                text[:at]
                + rng.choice([*'{}[]:,&*!|>%@`"#?-\t\n\x00\x07\u2028é', "<<: *a", "&a ", "*a", "!!python/x "])
                + text[at:]
            )
        elif change == 2:
            lines = text.split("\n")
            place = rng.randrange(len(lines))
            lines[place : place + 1] = [lines[place]] * rng.choice([0, 2]) or [lines[rng.randrange(len(lines))]]
            text = "\n".join(lines)
        else:
            text = text[:at] + rng.choice(ODD_TEXTS).replace("\ud800", "")[:200] + text[at:]
    return text


def odd_file(rng: random.Random, place: Path) -> str:
    """Put something unexpected where nothing is; returns what."""
    kind = rng.choice(
        ["nothing", "empty", "folder", "garbage", "text", "JSON", "pipe", "loop", "dangling", "huge line"]
    )
    if kind == "empty":
        place.write_bytes(b"")
    elif kind == "folder":
        place.mkdir()
    elif kind == "garbage":
        place.write_bytes(rng.randbytes(rng.choice([1, 7, 100, 5000])))
    elif kind == "text":
        place.write_text(rng.choice(ODD_TEXTS).replace("\ud800", "") + "\n", encoding="utf-8")
    elif kind == "JSON":
        place.write_text(rng.choice(["{}", "[]", "null", "1", '"x"', "[" * 5000, '{"a": NaN}', "1" * 5000]))
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "loop":
        place.symlink_to(place.name)
    elif kind == "dangling":
        place.symlink_to("nowhere/at/all")
    elif kind == "huge line":
        place.write_text("x," * 100_000)
    return kind
