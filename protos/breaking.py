"""Check that the contract is compatible with the last release, or save the contract as a release.

    python protos/breaking.py [--release VERSION]

A release is an image in protos/released/: the compiled contract, so that a comparison needs neither the network nor the
history of the repository.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

PROTOS = Path(__file__).resolve().parent
VERSION = re.compile(r"\d+\.\d+\.\d+")


def version_key(image: Path) -> tuple[int, ...]:
    """Return the version of an image as a sort key: 0.10.0 comes after 0.9.0."""
    return tuple(int(part) for part in image.stem.split("."))


def buf(contract: Path, *arguments: str) -> int:
    """Run the buf of this environment on the contract, and return its exit code."""
    program = Path(sys.executable).with_name("buf")
    return subprocess.run([str(program), *arguments], cwd=contract, check=False).returncode


def save_release(contract: Path, version: str) -> None:
    """Save the contract as the release of that version."""
    if not VERSION.fullmatch(version):
        sys.exit(f"{version!r} is not a version such as 0.1.0")
    image = contract / "released" / f"{version}.binpb"
    if image.exists():
        sys.exit(f"{version} was released already, and a release never changes: {image}")
    image.parent.mkdir(exist_ok=True)
    # Comments and source positions do not affect compatibility.
    if buf(contract, "build", "--exclude-source-info", "--output", str(image)) != 0:
        sys.exit("the contract does not compile; nothing was released")
    print(f"the contract was saved as {image.name}")


def compare(contract: Path) -> None:
    """Compare the contract with the last release."""
    images = sorted((contract / "released").glob("*.binpb"), key=version_key)
    if not images:
        print("no release of the contract yet: nothing to compare with")
        return
    last = images[-1]
    if buf(contract, "breaking", "--against", str(last)) != 0:
        sys.exit(f"the changes above break clients of release {last.stem}; add to the contract instead of changing it")
    print(f"the contract is compatible with release {last.stem}")


def main() -> None:
    """Compare with the last release, or save a new one."""
    parser = argparse.ArgumentParser(description="Compare the contract with its last release.")
    parser.add_argument("--release", metavar="VERSION", help="save the contract as this release")
    parser.add_argument("--protos", type=Path, default=PROTOS, help="the contract's folder (default: %(default)s)")
    args = parser.parse_args()
    contract = args.protos.resolve()
    if args.release:
        save_release(contract, args.release)
    else:
        compare(contract)


if __name__ == "__main__":
    main()
