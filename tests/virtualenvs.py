"""Virtual environments in which the wheel is installed as users install it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cached_folders import ROOT, cached_folder

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


class Environment:
    """An environment with the wheel and the `oldest` or the `newest` allowed versions of its dependencies.

    Its string lists the installed versions, for messages.
    """

    def __init__(self, folder: Path, age: str) -> None:
        self.bin = folder / "bin"
        self.age = age
        code = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
        self.versions: dict[str, str] = json.loads(self.run("python", "-c", code).stdout)

    def __str__(self) -> str:
        return ", ".join(f"{name} {version}" for name, version in sorted(self.versions.items()))

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment outside of the repository, and wait for it."""
        command: list[str | Path] = [self.bin / program, *arguments]
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TALLYMARK_"))}
        return subprocess.run(command, cwd=self.bin, env=plain, capture_output=True, text=True, check=False)


def pip(*arguments: str | Path) -> None:
    """Run pip. If it fails, its output is the message of the assertion."""
    command = [sys.executable, "-m", "pip", "--quiet", "--no-input", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"pip {' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}"


def oldest_versions(*extras: str) -> list[str]:
    """Return constraints to the oldest version of each dependency that pyproject.toml allows."""
    required = PROJECT["dependencies"] + [line for extra in extras for line in PROJECT["optional-dependencies"][extra]]
    return [re.sub(r">=([\d.]+)[^;]*", r"==\1", line) for line in required]


@contextmanager
def installed(wheel: Path, extras: str, constraints: list[str]) -> Iterator[Environment]:
    """Yield an environment with the wheel. Its dependencies are cached, and the wheel is installed each time."""

    def make(folder: Path) -> None:
        venv.create(folder)
        pip("--python", folder / "bin/python", "install", f"{wheel}{extras}", *constraints)

    age = "oldest" if constraints else "newest"
    with cached_folder(
        f"envs/{age}{extras}", [json.dumps(PROJECT), sys.version, sys.executable, *constraints], make
    ) as folder:
        pip("--python", folder / "bin/python", "install", "--force-reinstall", "--no-deps", wheel)
        yield Environment(folder, age)
