"""Generate the stubs in sdk/tallymark/v1 from the contract, or check that they are up to date.

    python protos/generate.py [--check]

The path of a `.proto` file under protos/ is the path of its module under sdk/, so the imports that the compiler writes
into the stubs are correct.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

PROTOS = Path(__file__).resolve().parent
SDK = PROTOS.parent / "sdk"
PACKAGE = Path("tallymark/v1")

# Nothing is re-exported, so that importing one message imports neither grpc nor every other message.
INIT = '''"""The stubs of the API, for programs that speak gRPC themselves: a module for each file of the contract.

Made by `make protos`; a program that records models from Python imports `tallymark` instead.
"""
'''


def generate(out: Path) -> None:
    """Generate the whole package into the folder `out`."""
    sources = sorted((PROTOS / PACKAGE).glob("*.proto"))
    outputs = [
        f"--python_out={out}",
        f"--grpc_python_out={out}",
        f"--mypy_out=quiet:{out}",
        f"--mypy_grpc_out=quiet:{out}",
    ]
    files = [source.relative_to(PROTOS).as_posix() for source in sources]
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "--proto_path=.", *outputs, *files],
        cwd=PROTOS,
        # The compiler looks for its mypy plugins on the path, where those of another environment may come first.
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"},
        check=True,
    )
    # The compiler writes a gRPC stub for every file, also for files without a service, whose stubs would be empty.
    for source in sources:
        if not any(line.startswith("service ") for line in source.read_text().splitlines()):
            for empty in (out / PACKAGE).glob(f"{source.stem}_pb2_grpc.py*"):
                empty.unlink()
    (out / PACKAGE / "__init__.py").write_text(INIT)


def files_in(folder: Path) -> dict[Path, bytes]:
    """Return the content of every file of the package under the folder, by its path in it."""
    found = (path for path in (folder / PACKAGE).rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(folder): path.read_bytes() for path in sorted(found)}


def update(sdk: Path, due: dict[Path, bytes], differing: list[Path]) -> None:
    """Write the files that differ, and remove those that are no longer generated."""
    for path in differing:
        target = sdk / path
        if path in due:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(due[path])
        else:
            target.unlink()
    print(f"{len(due)} stubs, {len(differing)} changed")


def report(differing: list[Path]) -> None:
    """Exit with the list of stubs that are not up to date, or print that all are."""
    if differing:
        names = "\n".join(f"  sdk/{path.as_posix()}" for path in differing)
        sys.exit(f"these stubs do not match the contract; run `make protos`:\n{names}")
    print("the stubs match the contract")


def main() -> None:
    """Bring the stubs up to date, or with --check list those that are not and fail."""
    parser = argparse.ArgumentParser(description="Generate the stubs in sdk/tallymark/v1 from the contract.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a stub is not up to date")
    parser.add_argument("--sdk", type=Path, default=SDK, help="the folder of the package (default: %(default)s)")
    args = parser.parse_args()
    # The pinned generator has no release for the newest Pythons: see pyproject.toml.
    if find_spec("grpc_tools") is None:
        missing = f"there is no generator for Python {sys.version_info.major}.{sys.version_info.minor}"
        if not args.check:
            sys.exit(f"{missing}: run `make clean`, then `make protos PYTHON=python3.13`")
        print(f"{missing}: the stubs are not checked")
        return
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        due, present = files_in(Path(folder)), files_in(args.sdk)
    differing = sorted(path for path in due.keys() | present.keys() if due.get(path) != present.get(path))
    if args.check:
        report(differing)
    else:
        update(args.sdk, due, differing)


if __name__ == "__main__":
    main()
