"""How long a command takes, beside what it cannot do without."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tallymark import Client

PROGRAM = Path(sys.executable).with_name("tallymark")
ROUNDS = 40


def seconds(*command: str | Path) -> float:
    begun = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def test_a_command_takes_less_than_twice_the_import_of_grpc(churn: Client) -> None:
    """`tallymark version list`, answer included, ends within twice the time of `python -c "import grpc"`."""
    asked, imported = [], []
    # The best of both tells what they cost when nothing else runs; on a busy machine that takes several rounds.
    for _ in range(ROUNDS):
        asked.append(seconds(PROGRAM, "version", "list", "churn"))
        imported.append(seconds(sys.executable, "-c", "import grpc"))
        if len(asked) > 4 and min(asked) < 2 * min(imported):
            return
    raise AssertionError(f"{min(asked):.3f} s, and the import takes {min(imported):.3f} s")
