"""Keys and values of what versions have read and said, kept while one play goes on.

A later turn computes only what is new in it. There is a tree of token sequences per version, each distinct prefix
once. A version's tree is dropped as soon as its weights change; beyond the limit, what was used longest ago goes
first. What is kept depends on one play alone, so a round that is played again draws the same tokens.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from league.model.bank import AdapterBank, Slice
from league.types import Version

Read = Callable[[int, int], Tensor]
"""(start, end) → a new tensor of keys and values [L, 2, K, T, D] of a sequence's tokens [start, end)."""


@dataclass
class CacheNode:
    """A run of tokens without a branch, its keys and values, and when it was last used."""

    tokens: tuple[int, ...]
    kv_L2KTD: Tensor
    used: int
    children: dict[int, "CacheNode"] = field(default_factory=dict)


@dataclass
class _Root:
    """A version's tree, and the weights it was computed with."""

    item: Slice | None
    revision: int
    children: dict[int, CacheNode] = field(default_factory=dict)


class PrefixCache:
    """At most `limit` tokens, over all versions of a bank."""

    def __init__(self, bank: AdapterBank, limit: int):
        self.bank, self.limit = bank, limit
        self.size = 0
        self._clock = 0
        self._roots: dict[Version | None, _Root] = {}

    def find(self, version: Version | None, tokens: Sequence[int]) -> list[Tensor]:
        """Keys and values of the longest known beginning of `tokens`, in pieces [L, 2, K, T, D]."""
        self._clock += 1
        pieces: list[Tensor] = []
        children, at = self._root(version).children, 0
        while at < len(tokens) and tokens[at] in children:
            node = children[tokens[at]]
            node.used = self._clock
            same = common_length(node.tokens, tokens[at:])
            pieces.append(node.kv_L2KTD[..., :same, :])
            at += same
            if same < len(node.tokens):
                break
            children = node.children
        return pieces

    def put(self, version: Version | None, tokens: tuple[int, ...], read: Read) -> None:
        """Keep a sequence; `read` is asked only for what is not known yet."""
        if len(tokens) > self.limit:
            return
        self._clock += 1
        children, at = self._root(version).children, 0
        while at < len(tokens):
            node = children.get(tokens[at])
            if node is None:
                children[tokens[at]] = CacheNode(tokens[at:], read(at, len(tokens)), self._clock)
                self.size += len(tokens) - at
                break
            same = common_length(node.tokens, tokens[at:])
            if same < len(node.tokens):
                node = children[tokens[at]] = _split(node, same)
            node.used = self._clock
            children, at = node.children, at + same
        self._trim()

    def _root(self, version: Version | None) -> _Root:
        item = self.bank.slice(version) if version is not None else None
        root = self._roots.get(version)
        if root is None or root.item is not item or (item is not None and root.revision != item.revision):
            if root is not None:
                self.size -= sum(len(node.tokens) for _, _, node in _walk(root.children))
            root = self._roots[version] = _Root(item, item.revision if item is not None else 0)
        return root

    def _trim(self) -> None:
        """Drop leaves, those used longest ago first, until the limit holds."""
        while self.size > self.limit:
            leaves = [
                (node.used, number, siblings, first)
                for root in self._roots.values()
                for number, (siblings, first, node) in enumerate(_walk(root.children))
                if not node.children
            ]
            for _, _, siblings, first in sorted(leaves, key=lambda leaf: leaf[:2]):
                if self.size <= self.limit:
                    break
                self.size -= len(siblings.pop(first).tokens)


def _walk(children: dict[int, CacheNode]) -> Iterator[tuple[dict[int, CacheNode], int, CacheNode]]:
    """(siblings, first token, node) of every node."""
    for first, node in children.items():
        yield children, first, node
        yield from _walk(node.children)


def _split(node: CacheNode, at: int) -> CacheNode:
    """The same tokens as two nodes, copied so that each can be freed alone; returns the first."""
    rest = CacheNode(node.tokens[at:], node.kv_L2KTD[..., at:, :].clone(), node.used, node.children)
    return CacheNode(node.tokens[:at], node.kv_L2KTD[..., :at, :].clone(), node.used, {rest.tokens[0]: rest})


def common_length(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the common beginning."""
    count = 0
    for left, right in zip(a, b, strict=False):
        if left != right:
            break
        count += 1
    return count


def join(pieces: Sequence[Tensor]) -> Tensor:
    """Pieces as one [T, L, 2, K, D]: token by token, as prefill packs them."""
    kv_L2KTD = torch.cat(list(pieces), 3)
    return kv_L2KTD.permute(3, 0, 1, 2, 4)
