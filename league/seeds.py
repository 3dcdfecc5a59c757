"""Every random stream of a run, derived from names by hashing.

A stream is addressed by what it is for, (run seed, "round", 3, "match", 7, ...), never by what was drawn before it.
So a resumed run, a run with more players, or a match replayed alone all draw the same numbers. `hash()` is never
used: it is salted.
"""

import hashlib

import numpy as np


def derive(*parts: int | str) -> int:
    """Hash the address of a stream to a 63-bit seed. Parts are typed, so 1 and "1" differ."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(*parts: int | str) -> np.random.Generator:
    """A counter-based numpy generator for the stream at this address."""
    return np.random.Generator(np.random.Philox(derive(*parts)))
