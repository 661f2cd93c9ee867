"""Links to other places: only files of the linked size are read, from stores that the user trusts."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

import tallymark
from tallymark import Client, ModelVersion
from tallymark.artifacts import store
from tallymark.artifacts.trusted_stores import check_trusted
from tallymark.errors import DigestMismatch, StoreNotTrusted, StoreUnavailable, TallymarkError
from tallymark.settings import current
from tallymark.testing import Server


@pytest.fixture
def version(registry_env: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModelVersion:
    """Return a version without links, for a user whose store is the folder `mine`."""
    monkeypatch.setenv("TALLYMARK_STORE", str(tmp_path / "mine"))
    monkeypatch.delenv("TALLYMARK_TRUSTED_STORES", raising=False)
    (tmp_path / "mine").mkdir()
    (tmp_path / "theirs").mkdir()
    Client().create_model("churn")
    return Client().create_version("churn")


def linked(version: ModelVersion, uri: str, data: bytes, size: int | None = None) -> None:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    Client().link_artifact(
        version.resource_name, "data", uri, digest=digest, size=len(data) if size is None else size, format="bytes"
    )


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc/hostname",
        "local:///etc/hostname",
        "/etc/hostname",
        "file://{mine}/../theirs/data",
        "file://{mine}/./../theirs/data",
        "file://{mine}-too/data",
        "file://{mine}",
        "simplecache::file://{mine}/data",
        "file://{mine}/data::file:///etc/hostname",
        "filecache::file:///etc/hostname",
        "http://127.0.0.1:9/secret",
        "data:text/plain;base64,aGk=",
        "zip://x::file://{mine}/data",
        "reference://x",
        "github://someone:repository@main/file",
        "",
    ],
)
def test_a_uri_outside_the_store_is_refused(tmp_path: Path, uri: str) -> None:
    """That is so in every spelling, and the error names the setting that would allow it."""
    settings = current()._replace(store=str(tmp_path / "mine"), trusted_stores=())
    with pytest.raises(StoreNotTrusted, match="TALLYMARK_TRUSTED_STORES"):
        check_trusted(uri.format(mine=tmp_path / "mine"), settings)
    check_trusted(f"file://{tmp_path}/mine/inner/data", settings)


def test_a_link_outside_the_store_is_not_followed(version: ModelVersion, tmp_path: Path) -> None:
    """It is refused before anything is opened or written."""
    linked(version, "file:///etc/hostname", b"x")
    with pytest.raises(StoreNotTrusted):
        tallymark.Model("churn", version=version.number).download("data", tmp_path / "got")
    assert list((tmp_path / "got").iterdir()) == []


@pytest.mark.parametrize("by", ["TALLYMARK_STORE", "TALLYMARK_TRUSTED_STORES", "configure"])
def test_a_store_that_the_user_names_is_trusted(
    version: ModelVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """Each setting allows the store that it names, and the files inside."""
    theirs = tmp_path / "theirs"
    (theirs / "data").write_bytes(b"weights")
    linked(version, f"file://{theirs}/data", b"weights")
    loaded = tallymark.Model("churn", version=version.number)
    with pytest.raises(StoreNotTrusted):
        loaded.load("data")
    with tallymark.settings.unconfigured():
        if by == "configure":
            tallymark.configure(trusted_stores=["s3://models", str(theirs)])
        else:
            monkeypatch.setenv(by, f"s3://models, {theirs}/" if "TRUSTED" in by else str(theirs))
        assert loaded.load("data") == b"weights"


def test_artifacts_in_the_own_store_are_loaded(version: ModelVersion) -> None:
    """The user's own store needs no further setting."""
    model = tallymark.Model("churn", version=version.number)
    model.save("clf", {"a": 1})
    assert model.load("clf") == {"a": 1}


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_only_regular_files_are_read(version: ModelVersion, tmp_path: Path, kind: str) -> None:
    """A pipe without a writer, an endless device and a folder are refused at once."""
    place = tmp_path / "mine" / "data"
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "device":
        place.symlink_to("/dev/zero")
    else:
        place.mkdir()
    linked(version, f"file://{place}", b"x")
    with pytest.raises(StoreUnavailable, match="regular file|directory"):
        tallymark.Model("churn", version=version.number).load("data")


@pytest.mark.parametrize("size", [3, 0])
def test_a_download_stops_at_the_linked_size(
    version: ModelVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """A file that is larger than linked, or than allowed without a size, is not downloaded completely."""
    monkeypatch.setattr(store, "CHUNK", 16)
    monkeypatch.setattr(store, "MAX_UNKNOWN_SIZE", 64)
    place = tmp_path / "mine" / "data"
    place.write_bytes(b"x" * 1000)
    linked(version, f"file://{place}", b"x" * 1000, size=size)
    with pytest.raises(DigestMismatch, match="larger than"):
        tallymark.Model("churn", version=version.number).download("data", tmp_path / "got")
    assert list((tmp_path / "got").iterdir()) == []


@pytest.mark.parametrize("uri", ["reference://x/y", "zip://x/y", "github://x/y", "jupyter://x/y", "nothing://x/y"])
def test_errors_of_drivers_are_translated(version: ModelVersion, monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    """Whatever the driver of a trusted store raises, the error has the URI."""
    monkeypatch.setenv("TALLYMARK_TRUSTED_STORES", uri.removesuffix("/y"))
    linked(version, uri, b"x")
    with pytest.raises(TallymarkError, match=uri):
        tallymark.Model("churn", version=version.number).load("data")
