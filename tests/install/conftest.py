"""Fixtures: the wheel, and environments in which it is installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from virtualenvs import Environment, installed, oldest_versions, pip
from cached_folders import ROOT


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from this repository."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--wheel-dir", folder, ROOT)
    [built] = folder.glob("*.whl")
    return built


def oldest_or_newest(request: pytest.FixtureRequest, *extras: str) -> list[str]:
    if request.param == "newest":
        return []
    if sys.version_info >= (3, 14):
        pytest.skip("the oldest grpcio that we allow has no wheel for this Python")
    return oldest_versions(*extras)


@pytest.fixture(scope="module", params=["oldest", "newest"])
def light(request: pytest.FixtureRequest, wheel: Path) -> Iterator[Environment]:
    """Install `tallymark` with the oldest and with the newest allowed versions."""
    with installed(wheel, "", oldest_or_newest(request)) as environment:
        yield environment


@pytest.fixture(scope="module", params=["oldest", "newest"])
def full(request: pytest.FixtureRequest, wheel: Path) -> Iterator[Environment]:
    """Install `tallymark[server]` with the oldest and with the newest allowed versions."""
    with installed(wheel, "[server]", oldest_or_newest(request, "server")) as environment:
        yield environment
