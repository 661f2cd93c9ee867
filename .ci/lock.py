"""Pin the dependencies with their hashes, or check that the pins fit pyproject.toml.

    python .ci/lock.py [--upgrade | --check] [--root FOLDER]

A pin that still fits is kept; --upgrade takes the newest versions instead. The check needs no network.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path(".ci/requirements")


class Lock(NamedTuple):
    """What a file of pins installs: the package with some extras, a dependency group, or both."""

    extras: tuple[str, ...] = ()
    group: str = ""


SERVICE = ("server", "artifacts", "auth")
LOCKS = {
    "runtime": Lock((*SERVICE, "otel", "postgres")),
    "dev": Lock((*SERVICE, "otel", "postgres"), "dev"),
    "imports": Lock(group="imports"),
    "release": Lock(group="release"),
    "docs": Lock(("artifacts",), "docs"),
}

PIN = re.compile(r"^(?P<name>[\w.-]+)==(?P<version>[\w.!+]+).*\n(?P<rest>(?:[ ]+.*\n)*)", re.MULTILINE)


def write(root: Path, name: str, lock: Lock, *, upgrade: bool) -> None:
    """Resolve the dependencies for every platform and every Python that the package supports."""
    out = (FOLDER / f"{name}.txt").as_posix()
    command = [str(Path(sys.executable).with_name("uv")), "pip", "compile", "--quiet", "--universal"]
    command += ["--generate-hashes", "--python-version", "3.11", "--custom-compile-command", "make lock"]
    command += [word for extra in lock.extras for word in ("--extra", extra)]
    command += ["--group", lock.group] if lock.group else []
    command += ["--upgrade"] if upgrade else []
    command += ["--output-file", out, *(["pyproject.toml"] if lock.extras else [])]
    subprocess.run(command, cwd=root, check=True)


def requirements(project: dict[str, Any], lock: Lock) -> list[Requirement]:
    """Return the requirements of pyproject.toml that the lock covers."""
    about, groups = project["project"], project["dependency-groups"]

    def expanded(group: str) -> list[str]:
        entries = [expanded(line["include-group"]) if isinstance(line, dict) else [line] for line in groups[group]]
        return [line for entry in entries for line in entry]

    lines = list(about["dependencies"]) if lock.extras else []
    lines += [line for extra in lock.extras for line in about["optional-dependencies"][extra]]
    lines += expanded(lock.group) if lock.group else []
    return [Requirement(line) for line in lines]


def problems(required: list[Requirement], pins: str) -> list[str]:
    """Return a sentence for each difference between the requirements and the pins."""
    versions: dict[str, set[str]] = {}
    direct, found = set(), []
    for pin in PIN.finditer(pins):
        name = canonicalize_name(pin["name"])
        versions.setdefault(name, set()).add(pin["version"])
        if "pyproject.toml" in pin["rest"]:
            direct.add(name)
        if not re.search(r"^ +--hash=sha256:\w", pin["rest"], re.MULTILINE):
            found.append(f"{name} has no hash")
    for requirement in required:
        name = canonicalize_name(requirement.name)
        if name not in versions:
            found.append(f"{name} is not pinned")
        found += [
            f"{name} is pinned to {version}, outside of {requirement.specifier}"
            for version in sorted(versions.get(name, ()))
            if not requirement.specifier.contains(version, prereleases=True)
        ]
    known = {canonicalize_name(requirement.name) for requirement in required}
    return found + [f"{name} is no longer required" for name in sorted(direct - known)]


def check(root: Path) -> None:
    """Compare every file of pins with pyproject.toml."""
    project = tomllib.loads((root / "pyproject.toml").read_text())
    found = []
    for name, lock in LOCKS.items():
        pins = (root / FOLDER / f"{name}.txt").read_text()
        found += [f"{name}.txt: {problem}" for problem in problems(requirements(project, lock), pins)]
    if found:
        sys.exit("\n".join([*found, "the pins do not fit pyproject.toml; run make lock"]))
    print(f"the pins of {', '.join(LOCKS)} fit pyproject.toml")


def main() -> None:
    """Write the pins, or check them."""
    parser = argparse.ArgumentParser(description="Pin what is installed, with hashes, or check the pins.")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="only compare the pins with pyproject.toml")
    mode.add_argument("--upgrade", action="store_true", help="pin the newest versions that are allowed")
    parser.add_argument("--root", type=Path, default=ROOT, help="the folder of pyproject.toml (default: %(default)s)")
    args = parser.parse_args()
    if args.check:
        check(args.root)
        return
    for name, lock in LOCKS.items():
        write(args.root, name, lock, upgrade=args.upgrade)


if __name__ == "__main__":
    main()
