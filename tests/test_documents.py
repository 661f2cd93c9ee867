"""The documents: each link leads somewhere, and each test that they name exists."""

from __future__ import annotations

import re
import tomllib

import pytest

from cached_folders import ROOT
from documents import ADDRESS, broken, documents, links, read

DOCUMENTS = documents()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_link_leads_to_a_file_and_an_anchor_that_exist(document: str) -> None:
    """Each link inside the repository names a file that exists, and a heading in it."""
    assert broken(document) == []


def test_there_are_links_to_check() -> None:
    """The README and each guide link to others, so the check above has something to find."""
    assert {"README.md", "protos/README.md", "sdk/README.md"} <= set(DOCUMENTS)
    assert all(links(document) for document in ("README.md", "protos/README.md", "sdk/README.md"))


def test_a_link_that_leads_nowhere_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing file, a missing heading and a file outside of the repository are each reported."""
    text = f"# One\n[a](gone.md) [b](#one) [c](#two) [d](../../x) [e]({ADDRESS}/blob/main/gone) [f](https://x.example)"
    monkeypatch.setattr("documents.read", lambda document: text)
    assert broken("README.md") == ["gone.md", "#two", "../../x", f"{ADDRESS}/blob/main/gone"]


def promises() -> list[list[str]]:
    """Return the tests that each line of the list of promises names."""
    rows = re.findall(r"^\| (?!---|promise)(.+) \| (.+) \|$", read("tests/README.md"), re.MULTILINE)
    return [re.findall(r"`(tests/[^`]+)`", tests) for _, tests in rows]


def test_each_promise_names_a_test_that_exists() -> None:
    """Each promise names a file that exists, and a function in it, that tests it."""
    assert len(promises()) > 40
    assert [] not in promises()
    for named in (test for tests in promises() for test in tests):
        path, _, function = named.partition("::")
        assert (ROOT / path).is_file(), named
        defined = re.findall(r"^(?:async )?def (\w+)|^(Test\w+)", (ROOT / path).read_text(), re.MULTILINE)
        tests = {name for found in defined for name in found if name}
        assert not function or function in tests, named


def test_each_path_that_contributors_read_exists() -> None:
    """The files and folders in the tables of CONTRIBUTING.md are where it says."""
    named = re.findall(r"`((?:protos|sdk|service|tests)/[^`*]*)`", read(".github/CONTRIBUTING.md"))
    assert len(named) > 10
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("document", ["README.md", ".github/CONTRIBUTING.md", "tests/README.md"])
def test_each_make_command_exists(document: str) -> None:
    """A command of make that a document names is one that the Makefile has."""
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)", read(document)))
    assert named <= targets
    assert named or document == "README.md"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_extra_exists(document: str) -> None:
    """What a document says to install, such as `tallymark[server]`, can be installed."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = re.findall(r"'(?:tallymark|\.)\[([\w,]+)\]", read(document))
    assert {extra for found in named for extra in found.split(",")} <= extras.keys()
    assert named or document != "README.md"
