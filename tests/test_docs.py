"""The documentation that `make docs` builds from the guides, the docstrings and the contract."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tallymark
from cached_folders import ROOT
from tallymark import errors
from tallymark.v1 import error_pb2, event_log_pb2, model_registry_pb2, run_registry_pb2

# On a fresh machine Sphinx is downloaded first.
pytestmark = pytest.mark.timeout(600)

PAGES = ROOT / ".cache/docs/pages"


def make(target: str, *variables: str) -> subprocess.CompletedProcess[str]:
    command = ["make", target, f"PYTHON={sys.executable}", *variables]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the documentation without a warning, and return its folder."""
    folder = tmp_path_factory.mktemp("site")
    done = make("docs", f"SITE={folder}")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def ids(page: Path) -> set[str]:
    """Return the anchors of the page."""
    return set(re.findall(r'\bid="([^"]+)"', page.read_text()))


def test_every_public_name_is_described(site: Path) -> None:
    """The reference of the SDK describes each name of `tallymark.__all__`, and each error."""
    own_pages = {"errors", "serving", "TallymarkError"}
    described = ids(site / "python.html") | ids(site / "errors.html")
    assert {name for name in set(tallymark.__all__) - own_pages if f"tallymark.{name}" not in described} == set()
    kinds = [kind.__name__ for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) > 50
    assert {name for name in kinds if f"tallymark.errors.{name}" not in described} == set()


def test_the_whole_contract_is_described(site: Path) -> None:
    """The page about the contract has each method, each message that a method takes or returns, and each reason."""
    page = (site / "contract.html").read_text()
    targets = ids(site / "contract.html")
    files = [module.DESCRIPTOR for module in (event_log_pb2, model_registry_pb2, run_registry_pb2)]
    methods = [method for file in files for service in file.services_by_name.values() for method in service.methods]
    assert len(methods) > 30
    assert {method.name for method in methods if method.name.lower() not in targets} == set()
    messages = {kind.name for method in methods for kind in (method.input_type, method.output_type)}
    assert {name for name in messages if f"contract-{name.lower()}" not in targets} == set()
    assert {name for name in error_pb2.ErrorReason.keys() if name not in page} == set()  # noqa: SIM118 - an enum of protobuf has no iterator


def test_the_site_needs_no_network(site: Path) -> None:
    """Pages load their styles, programs, pictures and search from the site itself, and each of these is there."""
    pages = list(site.glob("*.html"))
    assert len(pages) > 10
    loaded = {
        (page.name, address)
        for page in pages
        for tag in re.findall(r"<(?:img|link|script|source)\b[^>]*>", page.read_text())
        if 'rel="canonical"' not in tag
        for address in re.findall(r'\b(?:src|srcset|href)="([^"]+)"', tag)
    }
    assert loaded
    assert {each for each in loaded if re.match(r"(https?:)?//", each[1])} == set()
    assert {each for each in loaded if not (site / re.sub(r"[?#].*", "", each[1])).exists()} == set()
    assert "rollback" in (site / "searchindex.js").read_text()


def test_a_link_to_a_heading_that_is_gone_stops_the_build(site: Path, tmp_path: Path) -> None:
    """The build fails when a page refers to a heading that no page has, and names it."""
    assert site.exists(), "the build of the pages that follow succeeded"
    shutil.copytree(PAGES, tmp_path / "pages")
    with (tmp_path / "pages/index.md").open("a") as index:
        index.write("\n[gone](sdk.md#a-heading-that-is-gone)\n")
    program, state = ROOT / ".cache/docs/bin/sphinx-build", tmp_path / "state"
    command: list[str | Path] = [program, "-c", "docs", "-d", state, "--fail-on-warning"]
    path = os.pathsep.join(str(ROOT / folder) for folder in ("sdk", "docs"))
    done = subprocess.run(
        [*command, tmp_path / "pages", tmp_path / "site"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "a-heading-that-is-gone" in done.stderr


def test_a_link_to_a_file_that_is_gone_stops_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guide whose link leads to no file of the repository is named with the link."""
    monkeypatch.syspath_prepend(ROOT / "docs")
    assemble = importlib.import_module("assemble")
    monkeypatch.setattr(assemble, "ROOT", tmp_path)
    (tmp_path / "README.md").write_text("`[code](gone.md)` and [text](gone.md)\n")
    with pytest.raises(SystemExit, match=r"README\.md: gone\.md leads nowhere"):
        assemble.relinked("README.md", tmp_path)
