"""What a command does not wait for. How long it takes is measured by `make bench`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tallymark import Client

PROGRAM = Path(sys.executable).with_name("tallymark")


def test_a_command_loads_only_the_client(churn: Client) -> None:
    """`tallymark version list` imports no libraries but click, grpc and protobuf."""
    needed = loaded_by(sys.executable, "-c", "import click, grpc, google.protobuf.json_format")
    loaded = loaded_by(PROGRAM, "version", "list", "churn")
    assert "grpc" in loaded
    assert loaded - needed - sys.stdlib_module_names == {"tallymark"}


def loaded_by(*command: str | Path) -> set[str]:
    """Return the packages that a process imports, as Python reports them."""
    told = subprocess.run(
        command, env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}, capture_output=True, text=True, check=True
    ).stderr
    modules = [line.rsplit("|", 1)[1].strip() for line in told.splitlines() if line.startswith("import time:")]
    return {module.partition(".")[0] for module in modules[1:]}
