"""The codec between judge and answer.

Exact round trips, nothing but plain values, bounded on any input.
"""

import json
import math
import socket
from collections import Counter, OrderedDict, defaultdict, deque
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from league.sandbox import wire

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(1 << 900), max_value=1 << 900)
    | st.floats(allow_nan=False)
    | st.text(alphabet=st.characters())
    | st.binary()
    | st.complex_numbers(allow_nan=False)
    | st.fractions()
)
keys = st.none() | st.booleans() | st.integers() | st.text() | st.tuples(st.integers(), st.text())
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(keys, inner)
        | st.sets(keys)
        | st.frozensets(keys)
        | st.binary().map(bytearray)
    ),
    max_leaves=20,
)


def same(left: Any, right: Any) -> bool:
    """Equality that tells 1 from 1.0 and True, 0.0 from -0.0, lists from tuples, at any depth."""
    if type(left) is not type(right):
        return False
    if type(left) in (list, tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if type(left) is dict:
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left.items(), right.items(), strict=True))
    if type(left) is float:
        return left == right and math.copysign(1, left) == math.copysign(1, right)
    return bool(left == right)


def plain(value: object) -> bool:
    """Whether a value is of exact built-in types, at any depth."""
    if type(value) is dict:
        return all(plain(part) for pair in value.items() for part in pair)
    if type(value) in (list, tuple, set, frozenset):
        return all(map(plain, value))
    return type(value) in (type(None), bool, int, float, complex, str, bytes, bytearray, range, Fraction, Decimal)


def through(value: object) -> Any:
    return wire.unpack(wire.load(wire.dump({"v": wire.pack(value)}))["v"])


@given(values)
@settings(max_examples=300, deadline=None)
def test_round_trip_is_exact(value: object) -> None:
    assert same(through(value), value)


def test_values_json_would_change() -> None:
    assert math.isnan(through(float("nan")))
    assert through(float("-inf")) == -math.inf
    assert type(through({1: "a"})) is dict and through({1: "a", (2, 3): []}) == {1: "a", (2, 3): []}
    assert same(through(range(3, 9, 2)), range(3, 9, 2))
    assert through("\ud800") == "\ud800"
    assert through(Decimal("1.50")) == Decimal("1.50") and through(Fraction(2, 6)) == Fraction(1, 3)
    for kind in (Counter, OrderedDict):
        assert same(through(kind({"a": 1})), {"a": 1})
    assert same(through(defaultdict(int, {"a": 1})), {"a": 1})


class Listlike(list[int]):
    pass


class Sly(type):
    def __eq__(cls, other: object) -> bool:
        return True

    def __hash__(cls) -> int:
        return hash(list)


class Claims(metaclass=Sly):
    __class__ = bool  # type: ignore[assignment]


@pytest.mark.parametrize(
    "value",
    [
        object(),
        Listlike(),
        type("F", (float,), {})(1),
        type("S", (str,), {})("x"),
        Claims(),
        iter([]),
        (x for x in ()),
        len,
        json,
        int,
        deque(),
        NotImplemented,
        ...,
        [object()],
        {"a": object()},
        (Listlike(),),
        memoryview(b"x"),
        {}.keys(),
        map(len, []),
    ],
    ids=[f"type-{number}" for number in range(19)],
)
def test_other_types_do_not_pass(value: object) -> None:
    with pytest.raises(wire.NotPlain) as caught:
        wire.pack(value)
    assert caught.value.kind == "type"


def cyclic() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def shared(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value, value]
    return value


@pytest.mark.parametrize(
    "value",
    [cyclic(), nested(61), shared(40), "x" * (1 << 21), b"x" * (1 << 20), 1 << 100_001, [0] * (1 << 20)],
    ids=["cyclic", "nested", "shared", "string", "bytes", "integer", "list"],
)
def test_large_values_do_not_pass(value: object) -> None:
    with pytest.raises(wire.NotPlain) as caught:
        wire.pack(value)
    assert caught.value.kind == "size"


def test_limits_are_where_they_are_said_to_be() -> None:
    assert same(through(nested(60)), nested(60))
    assert through((1 << 100_000) - 1) == (1 << 100_000) - 1
    assert through("x" * (1 << 19)) == "x" * (1 << 19)


json_like: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from("ilftsdbBczrqD"),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(), inner)
        | st.tuples(st.sampled_from("ilftsdbBczrqDx"), inner).map(list)
        | st.tuples(st.sampled_from("ilftsdbBczrqDx"), inner, inner).map(list)
    ),
    max_leaves=12,
)


@given(json_like)
@settings(max_examples=500, deadline=None)
def test_forged_values_are_refused_or_plain(data: Any) -> None:
    """Whatever an answer writes: either Malformed or a value made of plain types, which packs again."""
    try:
        value = wire.unpack(data)
    except wire.Malformed:
        return
    assert plain(value)
    assert plain(through(value))  # NotPlain where a plain value could not be packed


@given(st.binary(max_size=400) | json_like.map(lambda data: json.dumps(data).encode()))
@settings(max_examples=300, deadline=None)
def test_forged_messages_are_refused_or_objects(raw: bytes) -> None:
    try:
        assert type(wire.load(raw)) is dict
    except wire.Malformed:
        pass


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 500_000,
        b"9" * 500_000,
        b'{"a":' * 100_000,
        b'{"v":' + b"1" * 5000 + b"}",
        b"\xff",
        b"",
        b"NaN",
        b"1e999999999",
    ],
    ids=["brackets", "digits", "objects", "integer", "latin", "empty", "NaN", "infinity"],
)
def test_messages_that_hurt_a_parser(raw: bytes) -> None:
    with pytest.raises(wire.Malformed):
        wire.load(raw)


def test_values_that_hurt_a_decoder() -> None:
    deep: Any = ["l"]
    for _ in range(200):
        deep = ["l", deep]
    for data in (
        deep,
        ["i", "f" * 30_000],
        ["D", "1e99999"],
        ["D", "1" * 9000],
        ["s", ["l"]],
        ["d", 1],
        ["q", 1, 0],
        ["q", 1.5, 2],
        ["r", 1, 2, 0],
        {},
        [],
        [1],
        ["?"],
        ["c", "x", "1"],
    ):
        with pytest.raises(wire.Malformed):
            wire.unpack(data)


def test_packets_reassemble() -> None:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for size in (0, 1, wire.PACKET - 20, wire.PACKET, wire.PACKET + 1):
        wire.send_blocking(left, {"v": "x" * size})
        assert wire.receive_blocking(right) == {"v": "x" * size}
    left.close()
    assert wire.receive_blocking(right) is None
    right.close()
