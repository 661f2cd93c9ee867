"""The service from another language: a client in JavaScript, made of nothing but the contract and public packages."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from javascript import packages, run
from cached_folders import ROOT
from tallymark.testing import Server

# On a fresh machine Node.js and the packages are downloaded first.
pytestmark = pytest.mark.timeout(600)

CLIENT = ROOT / "tests/node"


@pytest.fixture(scope="module")
def client() -> Iterator[list[Path]]:
    """The command that runs the client, beside the packages that its lockfile names."""
    with packages(CLIENT, "node_modules") as (program, folder):
        yield [*program, Path(shutil.copy(CLIENT / "client.mjs", folder))]


def test_a_client_made_from_the_contract_alone(server: Server, client: list[Path]) -> None:
    """Another language creates, reads, repeats, is refused, watches and resumes, with the contract alone."""
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
    assert told["late"] == "DEADLINE_EXCEEDED"
    event = told["event"]
    assert (event["revision"], event["kind"], event["resumed"]) == (4, "EVENT_KIND_STAGE_CHANGED", 4)
    assert (event["model_version"]["number"], event["model_version"]["stage"]) == (2, "STAGE_PRODUCTION")


@pytest.mark.parametrize("folder", ["node", "web", "identity/provider"])
def test_the_packages_come_from_the_public_registry(folder: str) -> None:
    """Whoever runs the tests gets the same packages, from where everybody gets them."""
    lock = json.loads((ROOT / "tests" / folder / "package-lock.json").read_text())
    named = {name: package for name, package in lock["packages"].items() if name}
    assert named
    assert {name for name, package in named.items() if not package["integrity"].startswith("sha512-")} == set()
    assert set(re.findall(r"https?://([^/\"]+)", json.dumps(named))) == {"registry.npmjs.org"}
