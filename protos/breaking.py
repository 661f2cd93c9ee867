"""Checks that the contract still serves every program made with the last release, or keeps the contract as a release.

    python protos/breaking.py [--release VERSION]

A release is an image in protos/released/: the contract as it was, compiled, so that comparing needs neither the network
nor the repository's history.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

PROTOS = Path(__file__).resolve().parent
VERSION = re.compile(r"\d+\.\d+\.\d+")


def order(image: Path) -> tuple[int, ...]:
    """The version's place among the others: 0.10.0 comes after 0.9.0."""
    return tuple(int(part) for part in image.stem.split("."))


def buf(contract: Path, *arguments: str) -> int:
    """Run buf, the one of this environment, on the contract."""
    program = Path(sys.executable).with_name("buf")
    return subprocess.run([str(program), *arguments], cwd=contract, check=False).returncode


def keep(contract: Path, version: str) -> None:
    """Keep the contract as it is now as the release of that version."""
    if not VERSION.fullmatch(version):
        sys.exit(f"{version!r} is not a version such as 0.1.0")
    image = contract / "released" / f"{version}.binpb"
    if image.exists():
        sys.exit(f"{version} was released already, and a release never changes: {image}")
    image.parent.mkdir(exist_ok=True)
    # Comments and positions in the files break nobody's program.
    if buf(contract, "build", "--exclude-source-info", "--output", str(image)) != 0:
        sys.exit("the contract does not compile; nothing was released")
    print(f"the contract is kept as {image.name}")


def compare(contract: Path) -> None:
    """Compare the contract with the last release."""
    images = sorted((contract / "released").glob("*.binpb"), key=order)
    if not images:
        print("no release of the contract yet: nothing to compare with")
        return
    last = images[-1]
    if buf(contract, "breaking", "--against", str(last)) != 0:
        sys.exit(f"the changes above break programs made with {last.stem}; add, and leave what is there as it is")
    print(f"the contract serves every program made with {last.stem}")


def main() -> None:
    """Compare with the last release, or make one."""
    parser = argparse.ArgumentParser(description="Compare the contract with its last release.")
    parser.add_argument("--release", metavar="VERSION", help="keep the contract as it is now as this release")
    parser.add_argument("--protos", type=Path, default=PROTOS, help="the contract's folder (default: %(default)s)")
    args = parser.parse_args()
    contract = args.protos.resolve()
    if args.release:
        keep(contract, args.release)
    else:
        compare(contract)


if __name__ == "__main__":
    main()
