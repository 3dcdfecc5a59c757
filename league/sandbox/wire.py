"""What crosses between the judge and an answer.

Plain values as tagged JSON, in packets of a SEQPACKET socket.

Only exact built-in types pass. A subclass, an object that claims to be equal to everything, an iterator or a module
has no encoding, so it cannot reach the side that compares. Nothing is unpickled, imported or evaluated. Both
directions are bounded: 1 MiB, depth 60, integers of 100,000 bits.
"""

import json
import math
import socket
import sys
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

MAX_BYTES = 1 << 20
MAX_DEPTH = 60
MAX_BITS = 100_000
PACKET = 96 * 1024
_SAFE_INT = 1 << 53
_DICTS = (defaultdict, OrderedDict, Counter)


class NotPlain(Exception):
    """The value has no encoding.

    `kind` is "type" (not a built-in value) or "size" (too large, too deep or cyclic).
    """

    def __init__(self, kind: str, what: str):
        super().__init__(what)
        self.kind = kind
        self.what = what


class Malformed(Exception):
    """Bytes from the other side that are not an encoding."""


def pack(value: object) -> Any:
    """Turn a plain value into JSON-able data. Raises NotPlain."""
    return _pack(value, 0, [MAX_BYTES])


def _spend(budget: list[int], amount: int) -> None:
    budget[0] -= amount
    if budget[0] < 0:
        raise NotPlain("size", f"a value of more than {MAX_BYTES} bytes")


def _pack(value: Any, depth: int, budget: list[int]) -> Any:
    _spend(budget, 2)
    if depth > MAX_DEPTH:
        raise NotPlain("size", f"a value nested deeper than {MAX_DEPTH}, or cyclic")
    if value is None or value is True or value is False:
        return value
    kind = type(value)
    if kind is int:
        if -_SAFE_INT < value < _SAFE_INT:
            return value
        if value.bit_length() > MAX_BITS:
            raise NotPlain("size", f"an integer of more than {MAX_BITS} bits")
        text = hex(value)
        _spend(budget, len(text))
        return ["i", text]
    if kind is float:
        return value if math.isfinite(value) else ["f", repr(value)]
    if kind is str:
        _spend(budget, len(value))
        return value
    for plain, tag in _ITEMS:  # by identity: a metaclass may claim to equal any type
        if kind is plain:
            _spend(budget, 2 * len(value))
            return [tag, *(_pack(item, depth + 1, budget) for item in value)]
    if kind is dict or any(kind is plain for plain in _DICTS):
        _spend(budget, 4 * len(value))
        return ["d", *(_pack(part, depth + 1, budget) for pair in dict.items(value) for part in pair)]
    return _pack_rare(kind, value, depth, budget)


def _pack_rare(kind: type, value: Any, depth: int, budget: list[int]) -> Any:
    if kind is bytes or kind is bytearray:
        _spend(budget, 2 * len(value))
        return ["b" if kind is bytes else "B", value.hex()]
    if kind is complex:
        return ["c", repr(value.real), repr(value.imag)]
    if kind is range:
        return ["r", *(_pack(part, depth + 1, budget) for part in (value.start, value.stop, value.step))]
    if kind is Fraction:
        return ["q", _pack(value.numerator, depth + 1, budget), _pack(value.denominator, depth + 1, budget)]
    if kind is Decimal:
        text = str(value)
        _spend(budget, len(text))
        return ["D", text]
    numpy = sys.modules.get("numpy")
    if numpy is not None and kind.__module__ == "numpy" and isinstance(value, numpy.generic):
        plain = value.item()
        if type(plain) is kind:  # a long double is its own item
            plain = complex(value) if isinstance(value, numpy.complexfloating) else float(value)
        return _pack(plain, depth + 1, budget)
    name = getattr(kind, "__qualname__", "?")
    raise NotPlain("type", f"a value of type {name if type(name) is str else '?'}")


_ITEMS: tuple[tuple[type, str], ...] = ((list, "l"), (tuple, "t"), (set, "s"), (frozenset, "z"))


def unpack(data: Any) -> Any:
    """Rebuild the value. Raises Malformed for anything `pack` cannot have written."""
    try:
        return _unpack(data, 0)
    except (TypeError, ValueError, IndexError, ArithmeticError) as error:
        raise Malformed(f"{type(error).__name__} while decoding a value") from error


def _unpack(data: Any, depth: int) -> Any:
    if type(data) is not list:
        if type(data) is dict:
            raise Malformed("an object where a value was expected")
        return data
    if depth > MAX_DEPTH:
        raise Malformed("a value nested too deep")
    tag = data[0]
    if type(tag) is not str:
        raise Malformed("an untagged list")
    if tag in _BUILD:
        return _BUILD[tag]([_unpack(item, depth + 1) for item in data[1:]])
    if tag in _SCALARS:
        return _SCALARS[tag](*data[1:])
    raise Malformed("an unknown tag")


def _integer(text: str) -> int:
    if len(text) > MAX_BITS // 4 + 4:
        raise Malformed("an integer that is too long")
    return int(text, 16)


def _decimal(text: str) -> Decimal:
    value = Decimal(text)
    if value.is_finite() and (abs(value.adjusted()) > 4000 or len(text) > 8000):
        raise Malformed("a decimal that is too large")
    return value


def _mapping(items: list[Any]) -> dict[Any, Any]:
    return dict(zip(items[::2], items[1::2], strict=True))


def _fraction(items: list[Any]) -> Fraction:
    numerator, denominator = items
    if type(numerator) is not int or type(denominator) is not int:
        raise Malformed("a fraction of something else than integers")
    return Fraction(numerator, denominator)


_BUILD: dict[str, Callable[[list[Any]], Any]] = {
    "l": list,
    "t": tuple,
    "s": set,
    "z": frozenset,
    "d": _mapping,
    "r": lambda items: range(*items),
    "q": _fraction,
}
_SCALARS: dict[str, Callable[..., Any]] = {
    "i": _integer,
    "f": float,
    "b": bytes.fromhex,
    "B": bytearray.fromhex,
    "c": lambda real, imag: complex(float(real), float(imag)),
    "D": _decimal,
}


# -------------------------------------------------------------------------------------------------- packets
def dump(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode("ascii")


def load(raw: bytes) -> dict[str, Any]:
    """Parse one message. Raises Malformed, also for what makes a JSON parser slow or recurse."""
    try:
        message = json.loads(raw)
    except (ValueError, RecursionError, MemoryError) as error:
        raise Malformed(f"{type(error).__name__} while parsing a message") from error
    if type(message) is not dict:
        raise Malformed("a message that is not an object")
    return message


def packets(raw: bytes) -> list[bytes]:
    """Cut a message into packets; the first byte says whether more follow."""
    parts = [raw[start : start + PACKET] for start in range(0, len(raw), PACKET)] or [b""]
    return [b"+" + part for part in parts[:-1]] + [b"." + parts[-1]]


def send_blocking(sock: socket.socket, message: dict[str, Any]) -> None:
    for packet in packets(dump(message)):
        sock.send(packet)


def receive_blocking(sock: socket.socket) -> dict[str, Any] | None:
    """One whole message, or None at end of file. For the side that trusts its peer (the answer's)."""
    parts = []
    while True:
        packet = sock.recv(PACKET + 1)
        if not packet:
            return None
        parts.append(packet[1:])
        if packet[:1] == b".":
            return load(b"".join(parts))
