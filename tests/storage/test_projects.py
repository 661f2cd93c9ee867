"""Projects that are created while the registry is open: the storage contract, and what files make of their logs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from storage.conftest import Open
from storage.commands import ATTEMPT, create_model, create_versions, numbers_of, write
from storage.test_exporting import changed, lines_of, take_in

from tallymark_server.domain import commands as c
from tallymark_server.domain.commands import Keys
from tallymark_server.domain.errors import ModelNotFound, ProjectExists, ProjectNotFound, RequestIdReused
from tallymark_server.domain.events import Kind
from tallymark_server.domain.model import Project
from tallymark_server.storage.contract import Storage, Writing
from tallymark_server.storage.sqlite.backup import backup
from tallymark_server.storage.sqlite.engine import open_sqlite
from tallymark_server.storage.sqlite.log_import import CannotImportError
from tallymark_server.storage.sqlite.verification import verify


def create_project(name: str = "lab", **attempt: Any) -> c.CreateProject:
    return c.CreateProject(**{**ATTEMPT, "project": name, **attempt})


async def test_a_project_begins_with_its_creation(storage: Storage) -> None:
    """Revision 1 of a new project is its creation; what follows in the batch already finds the project."""
    created, _, versions = await write(
        storage, create_project(), create_model(project="lab"), create_versions(None, project="lab")
    )
    assert isinstance(created, Project)
    assert (created.name, created.creator, created.create_time) == ("lab", "ana", 1_000_000)
    assert numbers_of(versions) == [1]
    page = await storage.events("lab", 0, 10)
    assert [event.kind for event in page.items] == [Kind.PROJECT_CREATED, Kind.MODEL_CREATED, Kind.VERSION_CREATED]
    assert page.items[0].image == created == await storage.project("lab")
    assert page.head.log_id == created.log_id


async def test_a_project_that_is_there_is_not_created_again(storage: Storage) -> None:
    """Neither one that was created so, nor one that the operator named, whatever happened in it."""
    await write(storage, create_project())
    for name in ("lab", "other"):
        head = await storage.head(name)
        (answer,) = await write(storage, create_project(name))
        assert isinstance(answer, ProjectExists)
        assert answer.metadata == {"project": name}
        assert await storage.head(name) == head


async def test_one_bad_command_does_not_fail_its_neighbours(storage: Storage) -> None:
    """Before a project is created its commands are refused; those before, between and after are answered as ever."""
    answers = await write(
        storage,
        create_model(),
        create_model(project="lab"),
        create_project(),
        create_versions(None, project="lab"),
        create_project(),
        create_model(project="lab"),
        create_versions(None),
    )
    assert [type(answer) for answer in answers if isinstance(answer, Exception)] == [
        ProjectNotFound,
        ModelNotFound,
        ProjectExists,
    ]
    assert (await storage.head("lab")).revision == 2
    assert (await storage.head("default")).revision == 2


async def test_a_repeated_creation_is_answered_as_before(open_storage: Open) -> None:
    """The same request id gives the same project, in the batch and after opening again; with other content it is
    refused."""
    attempt: dict[str, Any] = {"request_id": "one", "fingerprint": b"1"}
    async with open_storage() as storage:
        first, again = await write(storage, create_project(**attempt), create_project(**attempt))
        assert first == again
    async with open_storage() as storage:
        later, other = await write(
            storage, create_project(**attempt), create_project(request_id="one", fingerprint=b"2"), now=2_000_000
        )
        assert later == first
        assert isinstance(other, RequestIdReused)
        assert (await storage.head("lab")).revision == 1


async def test_a_creation_that_fails_leaves_no_project(storage: Storage) -> None:
    """An exception out of the work undoes the project too."""

    async def work(writing: Writing) -> None:
        state = await writing.load("lab", Keys())
        assert state.is_new
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await storage.write(work)
    with pytest.raises(ProjectNotFound):
        await storage.head("lab")
    assert [project.name for project in await storage.projects("", 10)] == ["default", "other"]


async def test_projects_are_listed_by_name(storage: Storage) -> None:
    """In code point order, after any name, with their creation if they have one."""
    await write(storage, *(create_project(name) for name in ("z", "a-b", "a1", "a")))
    names = ["a", "a-b", "a1", "default", "other", "z"]
    found = await storage.projects("", 10)
    assert [project.name for project in found] == names == sorted(names)
    assert [project.name for project in await storage.projects("a-b", 2)] == ["a1", "default"]
    assert [project.creator for project in found] == ["ana", "ana", "ana", "", "", "ana"]
    assert found[3] == await storage.project("default")
    assert found[3].log_id == (await storage.head("default")).log_id


@pytest.fixture
async def file(open_storage: Open, tmp_path: Path) -> Path:
    """A file with a project that was created while it was open."""
    async with open_storage() as storage:
        await write(
            storage,
            create_project(request_id="one", fingerprint=b"1"),
            create_model(project="lab"),
            create_versions("a", None, project="lab"),
        )
    return tmp_path / "tallymark.db"


@pytest.mark.sqlite_only
async def test_a_log_that_begins_with_its_project_is_proved_copied_and_imported(file: Path, tmp_path: Path) -> None:
    """Proof, backup, export and import keep bytes and hashes, also into a project that a server has made empty."""
    told, proof = lines_of(file), verify(file)
    assert proof.problems == []
    assert proof.marks["lab"].revision == 4
    backup(file, tmp_path / "backup.db", lambda *_: None)
    async with open_sqlite(tmp_path / "empty.db", ("default", "lab")):
        pass
    for name in ("backup", "import", "empty"):
        copy = tmp_path / f"{name}.db"
        if name != "backup":
            assert take_in(copy, told)["lab"] == 4
        assert lines_of(copy) == told, name
        assert (verify(copy).problems, verify(copy).marks) == ([], proof.marks), name
    async with open_sqlite(tmp_path / "import.db", ()) as storage:
        again, existing = await write(
            storage, create_project(request_id="one", fingerprint=b"1"), create_project(request_id="two")
        )
        assert again == await storage.project("lab")
        assert isinstance(existing, ProjectExists)


@pytest.mark.sqlite_only
def test_a_log_of_another_project_is_refused(file: Path, tmp_path: Path) -> None:
    """A log that names its project cannot be imported under another name, which its hashes would allow."""
    lines = lines_of(file, "lab")
    with pytest.raises(CannotImportError, match="line 2: .* it creates project lab with the log"):
        take_in(tmp_path / "copy.db", changed(lines, 1, b'"project":"lab"', b'"project":"den"'))


@pytest.mark.sqlite_only
def test_a_creation_of_another_project_is_found(file: Path) -> None:
    """The proof reports a project whose name is not the one in its log."""
    with closing(sqlite3.connect(file)) as database:
        database.execute("UPDATE projects SET name = 'den' WHERE name = 'lab'")
        database.commit()
    problems = dict(verify(file).problems)
    assert problems["project den, revision 1"].startswith("it creates project lab with the log")
