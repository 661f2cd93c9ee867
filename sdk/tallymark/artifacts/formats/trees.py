"""Check decision trees that are read from files, because scikit-learn does not check their node numbers.

In a malicious file, nodes could refer beyond the end of the tree, and a prediction would read foreign memory. skops
therefore does not trust trees by default; this package does, after this check.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tallymark.errors import InvalidArgument


def check_trees(loaded: Any) -> None:
    """Raise InvalidArgument if a tree in the value refers to nodes or features that do not exist."""
    for value in _parts(loaded):
        module, name = type(value).__module__, type(value).__name__
        if module == "sklearn.tree._tree" and name == "Tree":
            _check(value.__getstate__()["nodes"], "left_child", "right_child", "feature", value.n_features, leaf=-1)
        elif module.startswith("sklearn.neighbors._") and name.startswith(("KDTree", "BallTree")):
            _check_neighbours(value)
    for value, features in _predictors(loaded):
        _check(value.nodes, "left", "right", "feature_idx", features, leaf=0)
        splits = value.nodes[(value.nodes["is_leaf"] == 0) & (value.nodes["is_categorical"] != 0)]
        sets = min(len(value.raw_left_cat_bitsets), len(value.binned_left_cat_bitsets))
        if len(splits) and int(splits["bitset_idx"].max()) >= sets:
            raise InvalidArgument(
                "the file holds a tree whose categories are not in it; it is damaged, or made to do harm"
            )


def _check(nodes: Any, left: str, right: str, feature: str, features: int, *, leaf: int) -> None:
    """Check that children come after their parents, so that every walk ends, and that features exist."""
    import numpy as np

    indices = np.arange(len(nodes))
    inner = (nodes["is_leaf"] == 0) if "is_leaf" in (nodes.dtype.names or ()) else nodes[left] != leaf
    indices, split = indices[inner], nodes[inner]
    sound = len(nodes) > 0
    for child in (left, right):
        sound = sound and bool(((split[child] > indices) & (split[child] < len(nodes))).all())
    if not sound or not bool(((split[feature] >= 0) & (split[feature] < features)).all()):
        raise InvalidArgument("the file holds a tree whose nodes refer beyond it; it is damaged, or made to do harm")


def _check_neighbours(tree: Any) -> None:
    data, indices, nodes, _ = tree.get_arrays()
    rows = len(data)
    sound = bool(((indices >= 0) & (indices < rows)).all()) and len(indices) == rows
    sound = sound and bool(((nodes["idx_start"] >= 0) & (nodes["idx_end"] <= rows)).all())
    if not sound:
        raise InvalidArgument(
            "the file holds a tree of neighbours that refers beyond its data; it is damaged, or made to do harm"
        )


def _predictors(loaded: Any) -> Iterator[tuple[Any, int]]:
    """Yield the trees of histogram gradient boosting, and the number of features of their estimator."""
    for value in _parts(loaded):
        for row in getattr(value, "_predictors", None) or ():
            for predictor in row:
                yield predictor, int(value.n_features_in_)


def _parts(loaded: Any) -> Iterator[Any]:
    """Yield the value and all objects that it contains, each once."""
    seen: set[int] = set()
    waiting = [loaded]
    while waiting:
        value = waiting.pop()
        if id(value) in seen or isinstance(value, str | bytes | int | float | type(None)):
            continue
        seen.add(id(value))
        yield value
        if isinstance(value, Mapping):
            waiting.extend(value.values())
        elif isinstance(value, list | tuple | set | frozenset):
            waiting.extend(value)
        elif type(value).__module__ == "numpy" and getattr(getattr(value, "dtype", None), "hasobject", False):
            waiting.extend(value.ravel().tolist())
        waiting.extend(getattr(value, "__dict__", {}).values())
