"""Artifacts in the SDK: saved to a store, linked, verified and loaded."""

import os
import hashlib
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy
import onnx
import pandas
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tallymark import Artifact, ArtifactRole, ArtifactType, Client, Model, current_model, pipeline, step
from tallymark.errors import ArtifactNotFound, DigestMismatch, InvalidArgument, InvalidSetting, StoreUnavailable
from tallymark.testing import Server


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of its own for each test."""
    monkeypatch.setenv("TALLYMARK_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


def fitted() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression()).fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])


def graph() -> onnx.ModelProto:
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    return onnx.helper.make_model(onnx.helper.make_graph([node], "same", [value], [out]))


VALUES: dict[str, tuple[Callable[[], Any], ArtifactType, Callable[[Any, Any], bool]]] = {
    "json": (lambda: {"labels": ["a", "é"], "n": 3, "rate": 0.5, "none": None}, ArtifactType.DATA, lambda a, b: a == b),
    "text": (lambda: "first\r\nsecond é", ArtifactType.DATA, lambda a, b: a == b),
    "bytes": (lambda: b"\x00\xff", ArtifactType.DATA, lambda a, b: a == b),
    "npy": (lambda: numpy.arange(6.0).reshape(2, 3), ArtifactType.DATA, lambda a, b: bool((a == b).all())),
    "parquet": (lambda: pandas.DataFrame({"a": [1, 2]}), ArtifactType.DATA, lambda a, b: a.equals(b)),
    "safetensors": (
        lambda: {"w": numpy.ones((2, 2), dtype="float32")},
        ArtifactType.MODEL,
        lambda a, b: bool((a["w"] == b["w"]).all()),
    ),
    "onnx": (graph, ArtifactType.MODEL, lambda a, b: a.SerializeToString() == b.SerializeToString()),
    "skops": (fitted, ArtifactType.MODEL, lambda a, b: list(a.predict([[0], [3]])) == list(b.predict([[0], [3]]))),
}  # fmt: skip


@pytest.mark.parametrize("kind", VALUES)
def test_a_loaded_value_equals_the_saved_one(registry_env: Server, kind: str) -> None:
    """Each kind of value is saved in its default format, without pickle, and loaded unchanged."""
    make, type_, same = VALUES[kind]
    model = Model("churn")
    value = make()
    saved = model.save("thing", value)
    assert saved is not None
    assert (saved.format, saved.type, saved.role, saved.ordinal) == (kind, type_, ArtifactRole.MADE, 1)
    assert same(model.load("thing"), value)
    assert model.artifacts == [saved]


def test_an_artifact_has_uri_digest_and_size(registry_env: Server, store: Path) -> None:
    """The link has the URI, SHA-256 and size of an existing file; the same file is not linked twice."""
    model = Model("churn")
    saved = model.save("weights", b"12345")
    assert saved is not None
    path = Path(saved.uri.removeprefix("file://"))
    assert path.is_relative_to(store)
    assert path.read_bytes() == b"12345"
    assert (saved.size, saved.digest) == (5, f"sha256:{hashlib.sha256(b'12345').hexdigest()}")
    assert model.save("weights", b"12345") == saved
    second = model.save("weights", b"67890")
    assert second is not None
    assert second.ordinal == 2
    assert (model.load("weights"), model.load("weights@1")) == (b"67890", b"12345")


def test_a_new_local_store_is_private(registry_env: Server, store: Path) -> None:
    """A new folder is readable only for its owner; an existing one keeps its permissions, also for new files."""
    before = os.umask(0o022)
    try:
        Model("churn").save("first", {"a": 1})
        assert oct(store.stat().st_mode & 0o777) == "0o700"
        store.chmod(0o755)
        Model("shared").save("second", {"a": 2})
    finally:
        os.umask(before)
    assert oct(store.stat().st_mode & 0o777) == "0o755"
    shared = [path for path in store.rglob("*") if "shared" in path.parts]
    assert {oct(path.stat().st_mode & 0o777) for path in shared if path.is_dir()} == {"0o755"}


def test_a_file_is_saved_as_it_is(registry_env: Server, tmp_path: Path) -> None:
    """The file at a path is saved with its suffix; loading returns the path of a verified copy."""
    (tmp_path / "report.html").write_text("<p>")
    model = Model("churn")
    saved = model.save("report", tmp_path / "report.html")
    assert saved is not None
    assert saved.uri.endswith(".html")
    copy = model.load("report")
    assert (copy.read_text(), copy.suffix) == ("<p>", ".html")


@pytest.mark.parametrize("name", ["a..", "a b", "é", "x#y?z%", "~"])
def test_any_name_stays_within_the_store(registry_env: Server, store: Path, name: str) -> None:
    """Whatever the name of a model or an artifact, its file is inside the store."""
    model = Model(name)
    saved = model.save(name, "text")
    assert saved is not None
    assert model.load(name) == "text"
    files = [path for path in store.rglob("*") if path.is_file()]
    assert len(files) == 1
    assert files[0].resolve().is_relative_to(store.resolve())


def test_changed_bytes_are_refused(registry_env: Server) -> None:
    """A file that was changed in the store after linking is not loaded, nor is one without a verifiable digest."""
    model = Model("churn")
    saved = model.save("weights", b"12345")
    assert saved is not None
    Path(saved.uri.removeprefix("file://")).write_bytes(b"54321")
    with pytest.raises(DigestMismatch, match="was changed since"):
        model.load("weights")
    Client().link_artifact("churn", "unverified", saved.uri, format="bytes")
    with pytest.raises(DigestMismatch, match="was linked with none"):
        model.load("unverified")
    Path(saved.uri.removeprefix("file://")).unlink()
    with pytest.raises(StoreUnavailable, match="cannot be read or written"):
        model.load("weights")


def test_a_pickle_must_be_named(registry_env: Server) -> None:
    """joblib is never chosen by default, and both saving and loading it warn."""
    model = Model("churn")
    with pytest.warns(UserWarning, match="runs the code") as warned:
        model.save("old", fitted(), format="joblib")
    with pytest.raises(InvalidArgument, match="if you trust them"):
        model.load("old")
    with pytest.warns(UserWarning, match="runs the code") as warned_again:
        assert list(model.load("old", format="joblib").predict([[0.0]])) == [0]
    assert {each.filename for each in (*warned, *warned_again)} == {__file__}


class Unknown:
    """A class that no format supports."""


def test_a_value_without_a_format_is_refused(registry_env: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to do: name a format, pass a path, or install a library."""
    model = Model("churn")
    with pytest.raises(InvalidArgument, match="an Unknown has no known format"):
        model.save("x", Unknown())
    with pytest.raises(InvalidArgument, match="name one of folder, file, bytes"):
        model.save("x", b"", format="zip")
    with pytest.raises(ArtifactNotFound):
        model.load("x")
    monkeypatch.setitem(sys.modules, "skops", None)
    monkeypatch.setitem(sys.modules, "skops.io", None)
    with pytest.raises(InvalidArgument, match="pip install skops"):
        model.save("x", fitted(), format="skops")


def test_a_store_without_a_driver_is_refused(registry_env: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the store and what to install."""
    monkeypatch.setenv("TALLYMARK_STORE", "nowhere://bucket")
    with pytest.raises(InvalidSetting, match="install its fsspec driver"):
        Model("churn").save("x", 1)


def test_another_file_system_is_used_by_its_uri(
    registry_env: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Any file system of fsspec can be a store, for files and folders: here the one in memory."""
    monkeypatch.setenv("TALLYMARK_STORE", "memory://bucket/models")
    model = Model("churn")
    saved = model.save("x", {"a": 1})
    assert saved is not None
    assert saved.uri.startswith("memory://bucket/models/default/churn/1/x/")
    assert model.load("x") == {"a": 1}
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "part").write_text("a")
    model.save("folder", tmp_path / "folder")
    assert (model.load("folder") / "part").read_text() == "a"


churn = Model("churn")


@step
def train() -> Annotated[LogisticRegression, Artifact("classifier")]:
    return LogisticRegression().fit([[0.0], [1.0]], [0, 1])


@step
async def split() -> tuple[Annotated[list[int], Artifact("train")], Annotated[list[int], Artifact("test")], str]:
    return [1, 2], [3], "not kept"


def test_annotated_results_of_steps_are_saved(registry_env: Server) -> None:
    """`Annotated[…, Artifact(name)]` on a result, or on items of a tuple, saves it; the result is unchanged."""
    import asyncio

    @pipeline(model=churn)
    def training() -> object:
        assert asyncio.run(split())[2] == "not kept"
        return train()

    estimator = training()
    assert isinstance(estimator, LogisticRegression)
    linked = {artifact.name: artifact for artifact in churn.artifacts}
    assert linked.keys() == {"train", "test", "classifier"}
    assert (linked["classifier"].step, linked["classifier"].format) == ("train", "skops")
    assert linked["classifier"].run == churn.info.run
    assert churn.load("test") == [3]


def test_nothing_is_saved_when_recording_is_disabled(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With TALLYMARK_MODE=disabled, a step only calls its function, and the store stays empty."""
    monkeypatch.setenv("TALLYMARK_MODE", "disabled")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(train(), LogisticRegression)
        assert Model("churn").save("x", 1) is None
    assert not store.exists()


def test_an_artifact_that_a_run_loads_is_linked_as_used(registry_env: Server) -> None:
    """Lineage leads from the producing version to the using one, and both have their runs."""
    base, tuned = Model("base"), Model("tuned")

    @pipeline(model=base)
    def pretrain() -> None:
        current_model().save("weights", [1, 2])

    @pipeline(model=tuned)
    def tune() -> None:
        assert Model("base", "latest").load("weights") == [1, 2]

    pretrain()
    tune()
    with Client() as client:
        upstream = client.lineage("tuned/1", direction="upstream")
        assert {repr(node.resource).split("(")[0] for node in upstream.nodes} == {"ModelVersion", "Run", "ArtifactInfo"}
        assert base.id in {node.id for node in upstream.nodes}
        assert [artifact.role for artifact in client.list_artifacts("tuned/1")] == [ArtifactRole.USED]
        assert [run.pipeline for run in client.list_runs(version="base/1")] == ["tune", "pretrain"]
