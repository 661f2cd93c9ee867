"""Folders as artifacts, and the names and targets of downloads."""

import hashlib
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import pytest

from tallymark import Artifact, ArtifactInfo, ArtifactRole, ArtifactType, Client, Model, step
from tallymark.artifacts.save_load import download, file_name
from tallymark.errors import AlreadyExists, DigestMismatch, InvalidArgument, StoreUnavailable
from tallymark.artifacts.formats.folders import read_manifest
from tallymark.testing import Server


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of its own for each test."""
    monkeypatch.setenv("TALLYMARK_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as `save_pretrained` writes it."""
    made = tmp_path / "made"
    (made / "tokenizer").mkdir(parents=True)
    (made / "empty" / "inner").mkdir(parents=True)
    (made / "model.bin").write_bytes(os.urandom(100_000))
    (made / "tokenizer" / "vocab é.txt").write_text("a\nb")
    (made / "copy.txt").write_text("a\nb")
    (made / "nothing").touch()
    return made


def contents(folder: Path) -> dict[str, bytes | None]:
    """The contents of a folder by path: the bytes of files, None for folders."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")
    }


def test_a_loaded_folder_equals_the_saved_one(registry_env: Server, store: Path, folder: Path) -> None:
    """Every file and empty folder is there; one digest covers all; equal files are stored once."""

    @step(model=Model("churn"))
    def train() -> Annotated[Path, Artifact("checkpoint")]:
        return folder

    train()
    (saved,) = Model("churn", "latest").artifacts
    assert (saved.format, saved.size) == ("folder", 100_006)
    back = Model("churn", "latest").load("checkpoint")
    assert contents(back) == contents(folder)
    manifest = Path(saved.uri.removeprefix("file://"))
    assert saved.digest == f"sha256:{hashlib.sha256(manifest.read_bytes()).hexdigest()}"
    assert len(list(manifest.parent.joinpath("files").iterdir())) == 3
    (folder / "copy.txt").write_text("changed")
    second = Model("churn", "latest").save("checkpoint", folder)
    assert second is not None
    assert second.ordinal == 2
    assert len(list(manifest.parent.joinpath("files").iterdir())) == 4
    assert contents(Model("churn", "latest").load("checkpoint@1"))["copy.txt"] == b"a\nb"


def test_a_loaded_folder_exists_until_the_process_ends(
    registry_env: Server, store: Path, folder: Path, tmp_path: Path
) -> None:
    """The copies of loaded files and folders are removed at the end of the process, not of a child process."""
    Model("churn").save("checkpoint", folder)
    Model("churn", "latest").save("file", folder / "copy.txt")
    program = """
import os, sys
from tallymark import Model
loaded = [Model("churn", "latest").load(name) for name in ("checkpoint", "file")]
child = os.fork() or sys.exit()
assert os.waitpid(child, 0)[1] == 0
assert all(path.exists() for path in loaded)
print(len(list(loaded[0].rglob("*"))))
"""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == (str(len(contents(folder))), "")
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("harm", ["changed", "larger", "gone"])
def test_a_folder_with_a_changed_file_is_not_loaded(
    registry_env: Server, store: Path, folder: Path, tmp_path: Path, harm: str
) -> None:
    """The digest detects a changed file in the store, and no file of the folder appears."""
    model = Model("churn")
    saved = model.save("checkpoint", folder)
    assert saved is not None
    stored = next(path for path in store.rglob("files/*") if path.stat().st_size == 100_000)
    if harm == "gone":
        stored.unlink()
    else:
        stored.write_bytes(b"x" * (100_000 if harm == "changed" else 100_001))
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(DigestMismatch if harm != "gone" else StoreUnavailable):
        download(saved, target)
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("link", ["file", "folder", "broken"])
def test_symbolic_links_are_refused(registry_env: Server, folder: Path, tmp_path: Path, link: str) -> None:
    """A folder with a symbolic link, which may lead anywhere, is not saved, and the message says what to do."""
    target = {"file": "/etc/passwd", "folder": "/etc", "broken": str(tmp_path / "nowhere")}[link]
    (folder / "tokenizer" / "link").symlink_to(target)
    with pytest.raises(InvalidArgument, match=r"link is a symbolic link.*cp -rL"):
        Model("churn").save("checkpoint", folder)


def test_special_files_are_refused(registry_env: Server, folder: Path) -> None:
    """A pipe in a folder is refused without blocking."""
    os.mkfifo(folder / "pipe")
    with pytest.raises(InvalidArgument, match="no regular file"):
        Model("churn").save("checkpoint", folder)


DIGEST = "0" * 64


def listing(*paths: Any, **more: Any) -> dict[str, Any]:
    files = [{"path": path, "size": 1, "sha256": DIGEST} for path in paths]
    return {"tallymark_folder": 1, "files": files, "empty_folders": [], **more}


HOSTILE: dict[str, Any] = {
    "up": listing("../x"), "up within": listing("a/../../x"), "absolute": listing("/etc/passwd"), "here": listing("."),
    "nothing": listing(""), "no text": listing(3), "two slashes": listing("a//b"), "backslash": listing("..\\x"),
    "control": listing("a\nb"), "null": listing("a\0b"),
    "twice": listing("a", "a"), "file and folder": listing("a", "a/b"),
    "empty folder up": listing(empty_folders=["../x"]),
    "no list": {"tallymark_folder": 1}, "later": {"tallymark_folder": 2},
    "no mapping": [], "a digest with a path": {**listing(), "files": [{"path": "a", "size": 1, "sha256": "../../x"}]},
    "a size below zero": {**listing(), "files": [{"path": "a", "size": -1, "sha256": DIGEST}]},
    "a surrogate": listing("a\ud800"), "deep": None,
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_manifest_cannot_lead_out_of_the_folder(tmp_path: Path, case: str) -> None:
    """Every path in a manifest is inside the folder, or the manifest is refused."""
    path = tmp_path / "manifest"
    path.write_text(json.dumps(HOSTILE[case]) if HOSTILE[case] is not None else "[" * 100_000)
    with pytest.raises(InvalidArgument):
        read_manifest(path)


def test_downloads_have_the_names_of_artifacts(registry_env: Server, tmp_path: Path) -> None:
    """A file has the artifact's name with the suffix of its format; a folder has the artifact's name."""
    model = Model("churn", version="1.0")
    target = tmp_path / "target"
    target.mkdir()
    for name, value, expected in (
        ("scores", {"a": 1}, "scores.json"), ("notes.txt", "text", "notes.txt"), ("v1.5", b"", "v1.5.bin"),
        ("a b é", 1, "a b é.json"), ("x" * 250, 1, "x" * 167 + f"-{hashlib.sha256(b'x' * 250).hexdigest()[:32]}.json"),
    ):  # fmt: skip
        saved = model.save(name, value)
        assert saved is not None
        assert download(saved, target) == target / expected


@pytest.mark.parametrize(
    ("name", "uri", "expected"),
    [
        ("..", "file:///x.json", "_.json"), (".bashrc", "file:///x", "_bashrc"), ("-rf", "file:///x.json", "_rf.json"),
        ("~", "file:///x.json", "_.json"), ("C:\\x", "file:///x.json", "C__x.json"), ("a/../b", "file:///x", "a_.._b"),
        ("a\0b\n", "file:///x", "a_b_"), ("x", "file:///x.json/../../y", "x"), ("x", "s3://b/x.j$(rm)", "x"),
        ("", "file:///", "_"), ("con. ", "file:///x", "con"),
    ],
)  # fmt: skip
def test_no_name_leads_out_of_the_folder(name: str, uri: str, expected: str) -> None:
    """Whatever the registry says, the file is in the folder, not hidden, and not an option of a command."""
    link = ArtifactInfo(
        project="p", model="m", number=1, name=name, ordinal=1, type=ArtifactType.DATA, uri=uri, digest="", size=0,
        format="", role=ArtifactRole.MADE, run=None, step="", creator="me", create_time=datetime.now(UTC),
        create_revision=1, mod_revision=1,
    )  # fmt: skip
    assert file_name(link) == expected


def test_nothing_is_overwritten_without_force(registry_env: Server, tmp_path: Path, folder: Path) -> None:
    """An existing file is unchanged, also after a failed download; `force` replaces it, but not a symbolic link."""
    model = Model("churn", version="1.0")
    saved = model.save("rf", "new")
    assert saved is not None
    target = tmp_path / "target"
    target.mkdir()
    (target / "rf.txt").write_text("mine")
    with pytest.raises(AlreadyExists, match="rf.txt exists already"):
        download(saved, target)
    assert (target / "rf.txt").read_text() == "mine"
    Path(saved.uri.removeprefix("file://")).write_text("bad")
    with pytest.raises(DigestMismatch):
        download(saved, target, force=True)
    assert (target / "rf.txt").read_text() == "mine"
    Path(saved.uri.removeprefix("file://")).write_text("new")
    assert download(saved, target, force=True).read_text() == "new"
    (tmp_path / "elsewhere").write_text("mine")
    (target / "rf.txt").unlink()
    (target / "rf.txt").symlink_to(tmp_path / "elsewhere")
    for force in (False, True):
        with pytest.raises(AlreadyExists):
            download(saved, target, force=force)
    assert (tmp_path / "elsewhere").read_text() == "mine"
    checkpoint = model.save("checkpoint", folder)
    assert checkpoint is not None
    download(checkpoint, target)
    (target / "checkpoint" / "more").touch()
    with pytest.raises(AlreadyExists):
        download(checkpoint, target)
    assert contents(download(checkpoint, target, force=True)) == contents(folder)
    assert {path.name for path in target.iterdir()} == {"rf.txt", "checkpoint"}


def test_a_download_stops_at_the_linked_size(registry_env: Server, tmp_path: Path) -> None:
    """A download stops where the file should end, and weak digests are not accepted."""
    source = tmp_path / "store" / "large"
    source.parent.mkdir()
    source.write_bytes(b"x" * 3_000_000)
    target = tmp_path / "target"
    target.mkdir()
    with Client() as client:
        Model("churn", version="1.0").save("x", 1)
        digest = f"sha256:{hashlib.sha256(b'x').hexdigest()}"
        large = client.link_artifact("churn", "large", source.as_uri(), digest=digest, size=10)
        with pytest.raises(DigestMismatch, match="larger than it was"):
            download(large, target)
        weak = f"md5:{hashlib.md5(source.read_bytes()).hexdigest()}"
        link = client.link_artifact("churn", "weak", source.as_uri(), digest=weak)
        with pytest.raises(DigestMismatch, match="nothing that could be compared"):
            download(link, target)
