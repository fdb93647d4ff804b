"""The tree is the tree of RFC 6962: by vectors that others wrote, and by the recursion in the RFC itself."""

from __future__ import annotations

import json
from base64 import b64decode
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retentiond.audit.merkle import (
    EMPTY,
    Tree,
    consistency,
    consistent,
    included,
    inclusion,
    leaf_hash,
    node_hash,
    root,
)


def by_the_book(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return node_hash(by_the_book(leaves[:k]), by_the_book(leaves[k:]))


def leaves_of(count: int) -> list[bytes]:
    return [leaf_hash(str(i).encode()) for i in range(count)]


def cases(folder: Path) -> list[dict]:
    return [json.loads(path.read_bytes()) for path in sorted(folder.rglob("*.json"))]


def raw(value: str | None) -> bytes:
    return b64decode(value or "")


def test_all_98_inclusion_vectors_are_judged_as_their_authors_judge_them(vectors):
    found = cases(vectors / "merkle" / "inclusion")
    assert len(found) == 98
    for case in found:
        path = [raw(h) for h in case["proof"] or []]
        verdict = included(case["leafIdx"], case["treeSize"], raw(case["leafHash"]), path, raw(case["root"]))
        assert verdict is not case["wantErr"], case["desc"]


def test_all_98_consistency_vectors_are_judged_as_their_authors_judge_them(vectors):
    found = cases(vectors / "merkle" / "consistency")
    assert len(found) == 98
    for case in found:
        path = [raw(h) for h in case["proof"] or []]
        verdict = consistent(case["size1"], case["size2"], raw(case["root1"]), raw(case["root2"]), path)
        assert verdict is not case["wantErr"], case["desc"]


def test_the_empty_tree_has_the_hash_of_nothing():
    assert sha256(b"").digest() == EMPTY == Tree().root() == root([])


@given(st.integers(0, 700))
@settings(max_examples=60, deadline=None)
def test_growing_leaf_by_leaf_gives_the_root_of_the_recursion(size):
    tree = Tree()
    for leaf in leaves_of(size):
        tree.add(leaf)
    assert by_the_book(leaves_of(size)) == tree.root() == root(leaves_of(size))
    assert size == tree.size


@given(st.integers(1, 300), st.data())
@settings(max_examples=100, deadline=None)
def test_every_inclusion_proof_holds_and_no_other_leaf_has_it(size, data):
    leaves = leaves_of(size)
    index = data.draw(st.integers(0, size - 1))
    path = inclusion(index, size, lambda low, high: by_the_book(leaves[low:high]))
    assert included(index, size, leaves[index], path, by_the_book(leaves))
    assert not included(index, size, leaf_hash(b"another"), path, by_the_book(leaves))
    assert not included(index, size, leaves[index], [*path, EMPTY], by_the_book(leaves))
    if path:
        assert not included(index, size, leaves[index], path[:-1], by_the_book(leaves))


@given(st.integers(1, 300), st.data())
@settings(max_examples=100, deadline=None)
def test_every_consistency_proof_holds_and_proves_no_other_history(size2, data):
    leaves = leaves_of(size2)
    size1 = data.draw(st.integers(1, size2))
    old, new = by_the_book(leaves[:size1]), by_the_book(leaves)
    path = consistency(size1, size2, lambda low, high: by_the_book(leaves[low:high]))
    assert consistent(size1, size2, old, new, path)
    assert not consistent(size1, size2, leaf_hash(b"another"), new, path)
    assert not consistent(size1, size2, old, leaf_hash(b"another"), path)
    assert not consistent(size1, size2, old, new, [*path, EMPTY])


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537])
def test_a_tree_restored_from_its_edge_goes_on_like_one_that_never_stopped(size):
    tree = Tree()
    for leaf in leaves_of(size):
        tree.add(leaf)
    edge = {tile.level: [tile.hashes[i : i + 32] for i in range(0, len(tile.hashes), 32)] for tile in tree.edge()}
    restored = Tree([edge.get(level, []) for level in range(max(edge, default=-1) + 1)])
    assert (tree.size, tree.root()) == (restored.size, restored.root())
    for leaf in leaves_of(300):
        assert tree.add(leaf) == restored.add(leaf)
    assert (tree.root(), tree.edge()) == (restored.root(), restored.edge())


def test_tiles_are_completed_lowest_first_and_numbered_in_their_level():
    tree = Tree()
    done = [tile for leaf in leaves_of(65_536 + 256) for tile in tree.add(leaf)]
    assert [(0, i) for i in range(256)] + [(1, 0), (0, 256)] == [(t.level, t.index) for t in done]
    assert all(tile.width == 256 for tile in done)
    assert [(t.level, t.index, t.width) for t in tree.edge()] == [(1, 1, 1), (2, 0, 1)]


def test_nothing_follows_from_the_empty_tree():
    assert not consistent(0, 0, EMPTY, EMPTY, [])
    assert not consistent(0, 1, EMPTY, leaf_hash(b""), [])
