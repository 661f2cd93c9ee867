"""The cost of the SDK in a program, and the startup time of a server."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import recording

from tallymark.testing import Server

STARTS = 11
IMPORT = "import tallymark"
STUBS = "import grpc; from tallymark.v1 import event_log_pb2_grpc, model_registry_pb2_grpc, run_registry_pb2_grpc"
FIRST_NUMBER = "from tallymark import Model; print(Model(name='cold').number)"


def measure(rounds: int) -> dict[str, float]:
    """Return the figures by names that end with their unit. Raise UnverifiedError if the registry lacks records."""
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder, "sdk.db")) as server:
        environment = {"TALLYMARK_URL": server.address}
        starts = STARTS if rounds > 1 else 3
        bare = _script_ms("pass", {}, starts)
        started, beside_stubs = _server_start(Path(folder, "start.db"), starts)
        return {
            "bare_python_ms": bare,
            "import_tallymark_above_bare_ms": _script_ms(IMPORT, {}, starts) - bare,
            "import_grpc_above_bare_ms": _script_ms("import grpc", {}, starts) - bare,
            "import_grpc_and_stubs_above_bare_ms": _script_ms(STUBS, {}, starts) - bare,
            "server_start_ms": started,
            "server_start_beside_stubs": beside_stubs,
            "command_model_list_above_bare_ms": _command_ms(environment, starts) - bare,
            "first_number_above_bare_ms": _script_ms(FIRST_NUMBER, environment, starts) - bare,
            **recording.measure(server.address, rounds),
        }


def _script_ms(code: str, environment: dict[str, str], count: int) -> float:
    """Run a script so many times, and return the median time of the process in milliseconds."""
    return statistics.median(_timed(lambda: _run(code, environment)) for _ in range(count))


def _command_ms(environment: dict[str, str], count: int) -> float:
    program = Path(sys.executable).with_name("tallymark")
    command: list[str | Path] = [program, "model", "list"]
    environment = {**os.environ, **environment}
    return statistics.median(
        _timed(lambda: subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True))
        for _ in range(count)
    )


def _timed(do: Callable[[], object]) -> float:
    begun = time.perf_counter()
    do()
    return (time.perf_counter() - begun) * 1000


def _server_start(path: Path, count: int) -> tuple[float, float]:
    """Return the milliseconds until a server with a dashboard, on an existing file, announces its address.

    The second value is the ratio to a process that only imports grpc and the stubs, measured alternately.
    """
    server = Server(path, http="127.0.0.1:0")
    server.start()
    server.stop()
    taken, ratios = [], []
    for _ in range(count):
        taken.append(_timed(server.start))
        server.stop()
        ratios.append(taken[-1] / _timed(lambda: _run(STUBS, {})))
    return statistics.median(taken), statistics.median(ratios)


def _run(code: str, environment: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "script.py")
        script.write_text(code)
        command = [sys.executable, str(script)]
        subprocess.run(command, env={**os.environ, **environment}, capture_output=True, check=True)
