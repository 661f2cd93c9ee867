"""Malicious files: loading runs no code, and reads no memory outside of a tree."""

import datetime
import io
import json
import pickle
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightgbm
import numpy
import pytest
import xgboost
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from tallymark.artifacts import formats
from tallymark.errors import InvalidArgument
from tallymark.artifacts.formats.trusted_types import TRUSTED_TYPES, untrusted

X = numpy.random.RandomState(0).rand(40, 3)
y = numpy.array([0, 1] * 20)


class Touch:
    """When unpickled, it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def skops_file(schema: dict[str, Any], path: Path) -> None:
    with zipfile.ZipFile(path, "w") as written:
        written.writestr("schema.json", json.dumps({"protocol": 2, "_skops_version": "0.16.0", **schema}))


def node(module: str, name: str, loader: str, **more: Any) -> dict[str, Any]:
    return {"__module__": module, "__class__": name, "__loader__": loader, **more}


def text(value: Any) -> dict[str, Any]:
    return node("builtins", "str", "JsonNode", content=json.dumps(value), is_json=True)


def listed(*values: Any) -> dict[str, Any]:
    return node("builtins", "tuple", "TupleNode", content=[text(value) for value in values])


def mapping(**values: Any) -> dict[str, Any]:
    keys = node("builtins", "list", "ListNode", content=[node("builtins", "str", "TypeNode") for _ in values])
    return node("builtins", "dict", "DictNode", content=values, key_types=keys)


# Requests in a schema; `path` is a file that would be created if one of them were run.
SCHEMAS: dict[str, Callable[[str], dict[str, Any]]] = {
    "a call of the system": lambda path: node(
        "os", "system", "ConstructorFromReduceNode", content=listed(f"touch {path}")
    ),
    "a call by posix": lambda path: node(
        "posix", "system", "ConstructorFromReduceNode", content=listed(f"touch {path}")
    ),
    "a process": lambda path: node("subprocess", "Popen", "ConstructorFromReduceNode", content=listed(f"touch {path}")),
    "eval": lambda path: node("builtins", "eval", "ConstructorFromReduceNode", content=listed(f"open({path!r}, 'w')")),
    "open": lambda path: node("builtins", "open", "ConstructorFromReduceNode", content=listed(path, "w")),
    "a file for an array": lambda path: node("numpy", "memmap", "ConstructorFromReduceNode", content=listed(path)),
    "a loss that is none": lambda path: node(
        "os", "system", "LossNode", __reduce__={"args": listed(f"touch {path}")}, content=mapping()
    ),
    "a tree that is none": lambda path: node(
        "os", "system", "TreeNode", __reduce__={"args": listed(f"touch {path}")}, content=mapping()
    ),
    "a method": lambda path: node(
        "pathlib", "Path", "MethodNode",
        content={"func": "touch", "obj": node("pathlib", "Path", "ConstructorFromReduceNode", content=listed(path))},
    ),
    "a part of a function": lambda path: node(
        "functools", "partial", "PartialNode",
        content={
            "func": node("os", "system", "FunctionNode", content={"module_path": "os", "function": "system"}),
            "args": listed(f"touch {path}"), "kwds": mapping(), "namespace": mapping(),
        },
    ),
    "a function in a pipeline": lambda path: node(
        "sklearn.preprocessing._function_transformer", "FunctionTransformer", "ObjectNode",
        content=mapping(func=node("os", "system", "FunctionNode", content={"module_path": "os", "function": "system"})),
    ),
    "a type of a package of ours": lambda path: node(
        "sklearn.externals._packaging.version", "parse", "ConstructorFromReduceNode", content=listed("1")
    ),
    "what a trusted module imports": lambda path: node(
        "lightgbm.basic", "ctypes", "TypeNode"
    ),
    "a method of a trusted type": lambda path: node(
        "lightgbm.basic", "Booster", "MethodNode",
        content={"func": "save_model", "obj": node("lightgbm.basic", "Booster", "ObjectNode", content=None)},
    ),
    "a name with dots": lambda path: node("lightgbm", "basic.Booster.save_model", "TypeNode"),
    "a bit generator that is none": lambda path: node(
        "numpy.random._generator", "Generator", "RandomGeneratorNode",
        content={"bit_generator": mapping(bit_generator=text("seed")), "seed_seq": mapping()},
    ),
    "a caller of methods": lambda path: node(
        "operator", "methodcaller", "OperatorFuncNode", attrs=listed("touch")
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SCHEMAS)
def test_a_skops_file_runs_no_code(tmp_path: Path, case: str) -> None:
    """Types that are not trusted are refused before anything is constructed or called."""
    touched = tmp_path / "touched"
    path = tmp_path / "x.skops"
    skops_file(SCHEMAS[case](str(touched)), path)
    with pytest.raises(InvalidArgument, match="contains|cannot be read by skops"):
        formats.format_called("skops").read(path, ())
    assert not touched.exists()


def test_a_skops_file_with_trusted_types_is_read(tmp_path: Path) -> None:
    """The files above are refused because of their types, not because of how they were written."""
    path = tmp_path / "x.skops"
    skops_file(node("datetime", "date", "ConstructorFromReduceNode", content=listed(2026, 1, 2)), path)
    assert formats.format_called("skops").read(path, ()) == datetime.date(2026, 1, 2)


LIBRARIES = [kind.name for kind in formats.FORMATS if kind.needs and kind.name not in {"joblib", "keras"}]


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_pickle_with_another_suffix_is_not_run(tmp_path: Path, name: str) -> None:
    """A pickle that claims another format, or is inside a file of arrays, is refused."""
    chosen = formats.format_called(name)
    touched = tmp_path / "touched"
    holder = numpy.array([Touch(touched)], dtype=object)
    buffer = io.BytesIO()
    numpy.savez(buffer, arr_0=holder)
    plain = io.BytesIO()
    numpy.save(plain, holder, allow_pickle=True)
    for bytes_ in (pickle.dumps(Touch(touched)), buffer.getvalue(), plain.getvalue(), b"", b"\x00" * 100, b"{}"):
        path = tmp_path / f"x{chosen.suffix}"
        path.write_bytes(bytes_)
        with warnings.catch_warnings(), suppress(Exception):
            warnings.simplefilter("ignore")
            chosen.read(path, ())
    assert not touched.exists()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pickle.loads(pickle.dumps(Touch(touched)))
    assert touched.exists(), "unpickled, it does make the file"


def test_files_of_lightgbm_and_xgboost_run_no_code(tmp_path: Path) -> None:
    """Text after a model of LightGBM is ignored or refused; a wrapper of XGBoost must be one of its classes."""
    data = lightgbm.Dataset(X, y)
    booster = lightgbm.train({"objective": "binary", "verbosity": -1, "min_data_in_leaf": 1}, data, 2)
    path = tmp_path / "x.txt"
    path.write_text(
        booster.model_to_string() + f"\n__import__('pathlib').Path({str(tmp_path / 'touched')!r}).touch()\n"
    )
    assert formats.format_called("lightgbm").read(path, ()).num_trees() == 2
    assert not (tmp_path / "touched").exists()
    trained = xgboost.XGBRegressor(n_estimators=1).fit(X, y).get_booster()
    path = tmp_path / "x.ubj"
    for name in ("os.system", "Booster", "dask"):
        trained.set_attr(tallymark=json.dumps({"class": name, "params": {}}))
        trained.save_model(path)
        with pytest.raises(InvalidArgument, match="names the class"):
            formats.format_called("xgboost").read(path, ())


def modify(path: Path, change: Callable[[Any], None], field: str) -> int:
    """Change every array in a skops file that has the field; return how many there were."""
    with zipfile.ZipFile(path) as opened:
        members = {name: opened.read(name) for name in opened.namelist()}
    bent = 0
    for name, bytes_ in members.items():
        if name.endswith(".npy"):
            array = numpy.load(io.BytesIO(bytes_))
            if field in (array.dtype.names or ()) or (field == "" and array.dtype.kind == "i" and array.shape == (40,)):
                change(array)
                buffer = io.BytesIO()
                numpy.save(buffer, array)
                members[name] = buffer.getvalue()
                bent += 1
    with zipfile.ZipFile(path, "w") as written:
        for name, bytes_ in members.items():
            written.writestr(name, bytes_)
    return bent


def set_field(field: str, value: int) -> Callable[[Any], None]:
    def change(array: Any) -> None:
        array[field][0] = value

    return change


def boosting() -> Any:
    return HistGradientBoostingRegressor(max_iter=2, min_samples_leaf=2)


TREES: dict[str, tuple[Callable[[], Any], Callable[[Any], None], str]] = {
    "a child beyond the tree": (DecisionTreeClassifier, set_field("left_child", 10**6), "left_child"),
    "a child before the tree": (DecisionTreeClassifier, set_field("right_child", -7), "left_child"),
    "a tree that goes round": (DecisionTreeClassifier, set_field("left_child", 0), "left_child"),
    "a feature that is not there": (DecisionTreeClassifier, set_field("feature", 10**6), "left_child"),
    "boosting, a child beyond": (
        boosting, set_field("left", 10**6), "feature_idx"
    ),
    "boosting, a feature that is not there": (
        boosting, set_field("feature_idx", 10**6), "feature_idx"
    ),
    "neighbours beyond the data": (
        lambda: KNeighborsClassifier(algorithm="kd_tree"), lambda array: array.__setitem__(0, 10**6), ""
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TREES)
def test_a_tree_with_invalid_nodes_is_refused(tmp_path: Path, case: str) -> None:
    """scikit-learn does not check node numbers, so a file whose nodes lead out of the tree is refused."""
    make, change, field = TREES[case]
    skops, path = formats.format_called("skops"), tmp_path / "x.skops"
    skops.write(make().fit(X, y), path)
    skops.read(path, ())
    assert modify(path, change, field) >= 1
    with pytest.raises(InvalidArgument, match="damaged|cannot be read"):
        skops.read(path, ())


def test_the_list_of_trusted_types_is_valid() -> None:
    """Each name is a class or function of its library, and none is a module or reaches the system."""
    from importlib import import_module

    missing, strange = set(), set()
    for name in TRUSTED_TYPES:
        module, _, attribute = name.rpartition(".")
        found = getattr(import_module(module), attribute, None)
        if found is None:
            missing.add(name)
        elif not callable(found):
            strange.add(name)
    assert (strange, {name for name in missing if not name.startswith("sklearn.")}) == (set(), set())
    assert len(missing) < 15, "names of other versions of scikit-learn"
    roots = {name.partition(".")[0] for name in TRUSTED_TYPES}
    assert not roots & {
        "os",
        "posix",
        "subprocess",
        "sys",
        "io",
        "pathlib",
        "importlib",
        "operator",
        "ctypes",
        "pickle",
    }
    dangerous = ("eval", "exec", "open", "getattr", "__import__", "compile", "setattr", "input", "print", "map")
    assert not TRUSTED_TYPES & {f"builtins.{name}" for name in dangerous}


def test_a_wildcard_trusts_one_package() -> None:
    """`package.*` trusts types in the package, but not in packages whose names only begin alike."""
    assert untrusted(["mine.A", "mine.inner.B", "mineral.C", "sklearn.tree._tree.Tree"], ["mine.*"]) == ["mineral.C"]
    assert untrusted(["mine.A", "mine.AB"], ["mine.A"]) == ["mine.AB"]
    assert untrusted(["mine.A"], ["*"]) == ["mine.A"]
