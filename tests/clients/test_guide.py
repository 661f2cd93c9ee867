"""The guide for other languages: what it shows is what the tested clients do."""

from __future__ import annotations

import re
import subprocess

import pytest
from calling import Calls
from clients.scenario import HERE

from kept import ROOT
from machine import program
from tallymark.testing import Server

GUIDE = (ROOT / "protos/README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
FOLDERS = {"js": "node", "python": "python", "go": "go", "java": "java"}


def test_the_settings_of_the_generators_are_those_that_are_tested() -> None:
    """Each setting of buf that the guide shows is that of a client which is generated, and none is left out."""
    shown = {text for kind, text in BLOCKS if kind == "yaml"}
    assert shown == {path.read_text() for path in HERE.glob("*/buf.gen.yaml")}


@pytest.mark.parametrize("kind", FOLDERS)
def test_each_line_of_code_stands_in_a_tested_client(kind: str) -> None:
    """What the guide shows in a language is cut from the client that is run."""
    suffix = {"js": "mjs", "python": "py"}.get(kind, kind)
    sources = "\n".join(path.read_text() for path in (HERE / FOLDERS[kind]).rglob(f"*.{suffix}")).splitlines()
    lines = [line for found, text in BLOCKS if found == kind for line in text.splitlines()]
    assert lines
    assert [line for line in lines if line not in sources] == []


def test_the_links_lead_somewhere() -> None:
    """Every file and folder to which the guide refers is there."""
    links = re.findall(r"\]\(((?!https?:)[^)]+)\)", GUIDE)
    assert len(links) > 5
    assert [link for link in links if not (ROOT / "protos" / link).exists()] == []


def test_the_lines_of_the_shell_work(serving: Server, asking: Calls) -> None:
    """Both lines of curl, with the address of this server, answer with what is there."""
    asking.create_model("churn")
    asking.create_version("churn")
    asking.set_stage("churn", 1, 3)
    program("curl", packages=("curl",))
    [script] = [text for kind, text in BLOCKS if kind == "sh"]
    script = script.replace("http://127.0.0.1:8080/", serving.dashboard).replace("curl ", "curl --silent --fail ")
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"name":') == 2
