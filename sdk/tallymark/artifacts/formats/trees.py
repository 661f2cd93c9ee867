"""Trees from files: scikit-learn follows their node numbers without looking, so they are looked at first.

A file that was made to do harm could have nodes that refer to what lies beyond the tree, and predicting with it would
read memory that is not its own. For this skops trusts no trees by itself; we do, after this check.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tallymark.errors import InvalidArgument


def check_trees(loaded: Any) -> None:
    """Raise InvalidArgument if a tree in the value refers to nodes or features that are not there."""
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
    """Check that children come after their parents, which also makes every walk end, and that features exist."""
    import numpy as np

    places = np.arange(len(nodes))
    inner = (nodes["is_leaf"] == 0) if "is_leaf" in (nodes.dtype.names or ()) else nodes[left] != leaf
    places, split = places[inner], nodes[inner]
    sound = len(nodes) > 0
    for child in (left, right):
        sound = sound and bool(((split[child] > places) & (split[child] < len(nodes))).all())
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
    """Yield the trees of histogram gradient boosting, with how many features their estimator has."""
    for value in _parts(loaded):
        for row in getattr(value, "_predictors", None) or ():
            for predictor in row:
                yield predictor, int(value.n_features_in_)


def _parts(loaded: Any) -> Iterator[Any]:
    """Yield the value and everything that it is made of, each once."""
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
