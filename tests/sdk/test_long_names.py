"""Names of 255 characters, in scripts with several bytes per character, work everywhere."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import quote, unquote
from urllib.request import Request, urlopen

import pytest

from tallymark import Artifact, Client, Model, errors, pipeline, step
from tallymark import run as run_block
from tallymark.artifacts.file_names import MAX_SEGMENT, MAX_SHORTENED, ending, segment, shortened
from tallymark.types.resources import ModelVersion
from tallymark.serving import follow
from tallymark.testing import Server

SCRIPTS = {
    "latin": "x" * 255,
    "chinese": "模型" * 127 + "模",
    "emoji": "🦊" * 255,
    "combining": "नमस्ते" * 42 + "नमस",
    "mixed": "a模🦊" * 85,
}
by_script = pytest.mark.parametrize("name", SCRIPTS.values(), ids=SCRIPTS)


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of its own for each test."""
    monkeypatch.setenv("TALLYMARK_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


def segments_of(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*")]


@by_script
def test_a_model_and_an_artifact_with_long_names_are_saved_and_loaded(
    registry_env: Server, tmp_path: Path, store: Path, name: str
) -> None:
    """Values, files and folders are saved, listed, loaded and downloaded."""
    model = Model(name, name)
    source = tmp_path / "source"
    source.mkdir()
    (source / "weights.txt").write_text("1 2 3")
    saved = model.save(name, {"a": 1})
    assert saved is not None
    assert saved.name == name
    assert model.load(name) == {"a": 1}
    assert model.load(f"{name}@1") == {"a": 1}
    model.save(f"f{name[1:]}", source)
    assert (model.load(f"f{name[1:]}") / "weights.txt").read_text() == "1 2 3"
    model.save(f"g{name[1:]}", source / "weights.txt")
    assert model.load(f"g{name[1:]}").read_text() == "1 2 3"
    got = [model.download(f"{first}{name[1:]}", tmp_path / "got") for first in (name[0], "f", "g")]
    assert [path.is_dir() for path in got] == [False, True, False]
    assert max(len(each.encode()) for each in segments_of(store) + segments_of(tmp_path / "got")) <= MAX_SEGMENT


@by_script
def test_a_run_with_long_names_records_everything(registry_env: Server, store: Path, name: str) -> None:
    """Pipeline, step, parameter, artifact and actor may have 255 characters each."""

    @step(name=name)
    def train(depth: int) -> Annotated[dict[str, int], Artifact(name)]:
        return {"depth": depth}

    @pipeline(name=name, model=Model(name))
    def nightly() -> None:
        train(3)

    nightly()
    with Client(registry_env.address, actor=name) as client:
        (found,) = client.list_runs()
        assert (found.pipeline, found.state.name) == (name, "SUCCEEDED")
        (done,) = client.list_steps(found.id)
        assert done.name == name
        assert Model(name, "latest").load(name) == {"depth": 3}
        assert client.create_version(name).creator == name


@by_script
def test_offline_work_with_long_names_is_sent(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spool: Path, name: str
) -> None:
    """Values, files and folders wait in the spool, and `tallymark sync` uploads them to the store."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "weights.txt").write_text("1 2 3")
    monkeypatch.setenv("TALLYMARK_MODE", "offline")
    monkeypatch.setenv("TALLYMARK_URL", server.address)
    monkeypatch.setenv("TALLYMARK_ACTOR", name)
    with run_block(model=Model(name), name=name):
        Model(name).save(name, {"a": 1})
        Model(name).save(f"f{name[1:]}", source)
        Model(name).log_metadata({name: 1})
    monkeypatch.setenv("TALLYMARK_MODE", "online")
    tallymark = Path(sys.executable).with_name("tallymark")
    done = subprocess.run([tallymark, "sync"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list(spool.glob("*/*.journal")) == []
    model = Model(name, "latest")
    assert model.load(name) == {"a": 1}
    assert (model.load(f"f{name[1:]}") / "weights.txt").read_text() == "1 2 3"
    assert model.metadata == {name: 1}
    assert model.info.creator == name


@by_script
def test_errors_with_long_names_arrive(registry_env: Server, name: str) -> None:
    """The client raises the right error, however long the names are in its headers."""
    with Client(registry_env.address, actor=name) as client:
        with pytest.raises(errors.ModelNotFound):
            client.get_version(f"{name}=={name}")
        client.create_model(name)
        client.create_version(name, name)
        with pytest.raises(errors.VersionNotFound):
            client.get_version(f"{name}=={name[1:]}b")
        with pytest.raises(errors.NotFound):
            client.get_artifact(f"{name}=={name}", name)
        with pytest.raises(errors.AlreadyExists):
            client.create_version(name, name)
        with pytest.raises(errors.InvalidArgument):
            list(client.list_models(filter=f"tags:{name} and {name} {name}"))


@by_script
def test_pages_of_long_names_are_shown(tmp_path: Path, name: str) -> None:
    """The dashboard returns every page of long names, also for requests with the headers and cookies of a browser."""
    with Server(tmp_path / "tallymark.db", http="127.0.0.1:0") as server, Client(server.address, actor=name) as client:
        client.create_model(name)
        client.create_version(name, name)
        client.create_version(name)
        client.set_alias(f"{name}/1", name)
        client.link_artifact(f"{name}/1", name, "file:///" + "y" * 3000)
        here = f"/models/{quote(name, safe='')}"
        for path in (here, f"{here}/versions/1", f"{here}/versions/1.json", f"{here}/compare?number=1,2", "/activity"):
            url = f"{server.dashboard.rstrip('/')}{path}"
            headers = {"cookie": f"tallymark_actor={quote(name)}", "referer": url, "hx-current-url": url}
            with urlopen(Request(url, headers=headers), timeout=60) as answer:
                assert answer.status == 200
                assert name in answer.read().decode()


def test_artifacts_are_distinguished_by_their_whole_uri(tmp_path: Path) -> None:
    """The longest URIs are found in the lineage and on the page, and those that differ at their end differ."""
    uri = "file:///" + "模" * 8_184
    with Server(tmp_path / "tallymark.db", http="127.0.0.1:0") as server, Client(server.address) as client:
        client.create_model("churn")
        for number, (end, role) in enumerate([("a", "made"), ("a", "used"), ("b", "used")], 1):
            client.create_version("churn")
            linked = client.link_artifact(f"churn/{number}", "data", uri[:-1] + end, role=role)
            assert linked.uri == uri[:-1] + end
        found = client.lineage("churn/1", direction="downstream").nodes
        assert {node.resource.number for node in found if isinstance(node.resource, ModelVersion)} == {1, 2}
        with urlopen(f"{server.dashboard.rstrip('/')}/models/churn/versions/1", timeout=60) as answer:
            assert answer.status == 200


@by_script
def test_a_last_good_file_may_have_a_long_name(registry_env: Server, tmp_path: Path, name: str) -> None:
    """The file name may have as many bytes as the file system allows."""
    Model(name).create()
    kept = tmp_path / name.encode()[:240].decode(errors="ignore")
    with follow(name, lambda version: version.number, last_good=kept):
        pass
    assert kept.exists()


def test_segments_are_unique() -> None:
    """Short names are unchanged; different long names have different segments, which no short name has."""
    assert segment("a b%/é..") == "a b%25%2F%C3%A9.."
    assert segment("..") == "%2E%2E"
    assert segment("x" * 255) == "x" * 255
    long = ["模" * 29, "模" * 28 + "型", "型" + "模" * 28, "模" * 255, "x" * 256]
    made = [segment(name) for name in long]
    assert len({*made}) == len(long)
    for name, found in zip(long, made, strict=True):
        assert len(found) <= MAX_SHORTENED
        beginning, _, digest = found.partition("=")
        assert name.startswith(unquote(beginning))
        assert hashlib.sha256(name.encode()).hexdigest().startswith(digest)
        assert segment(found) != found


def test_downloads_of_long_names_have_different_files(registry_env: Server, tmp_path: Path) -> None:
    """Two artifacts whose names begin alike can be downloaded to the same folder."""
    model = Model("churn")
    got = []
    for name in (f"{'模' * 250}a", f"{'模' * 250}b"):
        model.save(name, name)
        got.append(model.download(name, tmp_path / "got"))
    assert len({*got}) == 2
    assert shortened("模" * 66) == "模" * 66


@pytest.mark.parametrize("suffix", [".模" * 40, ".a::b", f".{'x' * 200}", ".a b"])
def test_a_file_with_an_unusual_suffix_is_saved(registry_env: Server, tmp_path: Path, suffix: str) -> None:
    """A suffix that is long, or has characters with a meaning in URIs, is left out."""
    source = tmp_path / f"weights{suffix}"
    source.write_text("1 2 3")
    model = Model("churn")
    assert model.save("weights", source) is not None
    assert model.load("weights").read_text() == "1 2 3"
    assert ending(source.suffix) == ""


@pytest.mark.parametrize("name", ["a b", "模型" * 40, "a%20b", "a#b?c", "a::b"])
def test_a_store_can_be_a_folder_of_any_name(
    registry_env: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    """Files are saved in that folder, not in one with a percent-encoded name."""
    folder = tmp_path / name
    monkeypatch.setenv("TALLYMARK_STORE", str(folder))
    model = Model("churn")
    model.save("weights", {"a": 1})
    assert model.load("weights") == {"a": 1}
    assert folder.is_dir() is ("::" not in name)
