"""A release: the packages, their page on PyPI, the list of components, and the pinned dependencies."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from virtualenvs import PROJECT, Environment
from cached_folders import ROOT

# On a fresh machine the tools are downloaded first.
pytestmark = pytest.mark.timeout(600)

REPOSITORY = PROJECT["urls"]["Repository"]


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    """Return the metadata of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


def test_the_command_prints_the_version_of_the_package(light: Environment, metadata: Message) -> None:
    """`tallymark --version` and `tallymark.__version__` are the version of the package."""
    assert light.run("tallymark", "--version").stdout == f"tallymark, version {metadata['Version']}\n"
    found = light.run("python", "-c", "import tallymark; print(tallymark.__version__)")
    assert found.stdout.strip() == metadata["Version"] == light.versions["tallymark"]


def test_the_page_on_the_index_shows_the_readme_and_the_changes(metadata: Message) -> None:
    """The page has the README and the changelog, newest version first."""
    page = str(metadata.get_payload())
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert page.index("# Tallymark\n") < page.index("# Changes\n") < page.index("## 0.2.0") < page.index("## 0.1.0")


def test_every_link_of_the_page_leads_to_the_files_of_the_release(metadata: Message) -> None:
    """Links and pictures of the page are absolute, and those into the repository name a file of that version."""
    page = re.sub(r"^```.*?^```$", "", str(metadata.get_payload()), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)]+)\)", page) + re.findall(r"(?:src|srcset|href)=\"([^\"]+)\"", page)
    assert [link for link in links if not re.match(r"https?://|#", link)] == []
    raw = REPOSITORY.replace("//github.com", "//raw.githubusercontent.com")
    ours = re.compile(rf"(?:{REPOSITORY}/blob|{raw})/v{re.escape(metadata['Version'])}/([^#]+)")
    files = [found.group(1) for link in links if (found := ours.match(link))]
    assert len(files) > 5
    assert [file for file in files if not (ROOT / file).exists()] == []
    assert {link for link in links if link.startswith((REPOSITORY, raw)) and not ours.match(link)} == set()


def test_the_list_of_components_names_what_the_service_needs(tmp_path: Path, metadata: Message) -> None:
    """`make sbom` builds the packages, installs the wheel with the pinned versions, and lists all components."""
    done = subprocess.run(
        ["make", "sbom", f"DIST={tmp_path / 'dist'}", f"PYTHON={sys.executable}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    bom = json.loads((tmp_path / "dist/tallymark.cdx.json").read_text())
    listed: dict[str, str] = {
        canonicalize_name(component["name"]): component["version"] for component in bom["components"]
    }
    extras = PROJECT["optional-dependencies"]
    needed = {Requirement(line) for line in PROJECT["dependencies"] + extras["server"] + extras["artifacts"]}
    assert {each.name for each in needed if not each.specifier.contains(listed[canonicalize_name(each.name)])} == set()
    assert listed["tallymark"] == metadata["Version"]
    assert "pip" not in listed
    built = {path.name for path in (tmp_path / "dist").iterdir()}
    assert {f"tallymark-{metadata['Version']}{kind}" for kind in (".tar.gz", "-py3-none-any.whl")} < built


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("pyproject.toml", '"lark>=1.2.1"', '"lark>=99"', "runtime.txt: lark is pinned to"),
        ("pyproject.toml", '"lark>=1.2.1"', '"lark>=1.2.1", "flit"', "runtime.txt: flit is not pinned"),
        ("pyproject.toml", '    "lark>=1.2.1", ', "    ", "runtime.txt: lark is no longer required"),
        (".ci/requirements/imports.txt", "    --hash=", "    # --hash=", "imports.txt: click has no hash"),
    ],
)
def test_pins_that_do_not_fit_are_found(tmp_path: Path, file: str, old: str, new: str, problem: str) -> None:
    """`make check` fails when the pins do not fit pyproject.toml, and names the package."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / ".ci/requirements", tmp_path / ".ci/requirements")
    command: list[str | Path] = [sys.executable, ROOT / ".ci/lock.py", "--check", "--root", tmp_path]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    text = (tmp_path / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert problem in done.stderr
    assert "run make lock" in done.stderr


def test_every_supported_python_is_tested() -> None:
    """CI tests every Python from the oldest that the package allows, without a gap."""
    [line] = re.findall(r"python: \[(.*)\]", (ROOT / ".github/workflows/ci.yml").read_text())
    tested = [tuple(map(int, version.split("."))) for version in re.findall(r"[\d.]+", line)]
    oldest = tuple(map(int, PROJECT["requires-python"].removeprefix(">=").split(".")))
    assert tested == [(oldest[0], oldest[1] + step) for step in range(len(tested))]


@pytest.mark.parametrize("workflow", sorted(path.name for path in (ROOT / ".github/workflows").iterdir()))
def test_every_action_is_pinned(workflow: str) -> None:
    """Each action of a workflow is pinned to a commit, with its version in a comment."""
    uses = re.findall(r"uses: (.*)", (ROOT / ".github/workflows" / workflow).read_text())
    assert uses
    assert [line for line in uses if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []
