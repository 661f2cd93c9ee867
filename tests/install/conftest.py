"""Fixtures: the wheel, and what users get by installing it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from virtualenvs import Environment, floors, installed, pip
from cached_folders import ROOT


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this folder."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--wheel-dir", folder, ROOT)
    [built] = folder.glob("*.whl")
    return built


def oldest_or_newest(request: pytest.FixtureRequest, *extras: str) -> list[str]:
    if request.param == "newest":
        return []
    if sys.version_info >= (3, 14):
        pytest.skip("the oldest grpcio that we allow has no wheel for this Python, so nobody has it there")
    return floors(*extras)


@pytest.fixture(scope="module", params=["oldest", "newest"])
def light(request: pytest.FixtureRequest, wheel: Path) -> Iterator[Environment]:
    """`pip install tallymark`, with the oldest and with the newest versions that we allow."""
    with installed(wheel, "", oldest_or_newest(request)) as environment:
        yield environment


@pytest.fixture(scope="module", params=["oldest", "newest"])
def full(request: pytest.FixtureRequest, wheel: Path) -> Iterator[Environment]:
    """`pip install 'tallymark[server]'`, with the oldest and with the newest versions that we allow."""
    with installed(wheel, "[server]", oldest_or_newest(request, "server")) as environment:
        yield environment
