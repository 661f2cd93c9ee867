"""Programs beside the server, for work that takes long of a processor: writes go on meanwhile.

The server runs `completed`, and the program `print_result`. It ends when the server does, however that ends.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping

import msgspec

# The server has precedence.
NICENESS = 10


async def completed(
    program: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a module as a program, with more variables in its environment, and return how it ended.

    Cancelling ends it.
    """
    # The process ends when the other end of its input is closed: by us, or by our own end, however that comes.
    given, held = os.pipe()
    working = asyncio.ensure_future(asyncio.to_thread(_completed, program, arguments, environment or {}, given))
    try:
        return await asyncio.shield(working)
    finally:
        os.close(held)
        await asyncio.wait((working,))
        os.close(given)


def _completed(
    program: str, arguments: tuple[str, ...], environment: Mapping[str, str], given: int
) -> subprocess.CompletedProcess[bytes]:
    from tempfile import TemporaryDirectory  # takes a while to import, and no start needs it

    # The process finds modules where the server has found them, and never in the folder in which it was started.
    own = {**os.environ, **environment, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-P", "-m", program, *arguments]
    # What it has copied goes even if it is ended before its time.
    with TemporaryDirectory(prefix="tallymark-") as folder:
        return subprocess.run(  # noqa: S603 - the program is ours
            command, stdin=given, capture_output=True, env={**own, "TMPDIR": folder}, check=False
        )


def print_result(work: Callable[[], msgspec.Struct]) -> None:
    """Do the work with low priority, print what it returns as JSON, and end; or end as soon as the input ends."""
    # Ctrl-C is for the server, which ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICENESS)
    threading.Thread(target=_end_with_input, daemon=True).start()
    sys.stdout.buffer.write(msgspec.json.encode(work()))
    sys.stdout.buffer.flush()
    # The thread that waits for the end of the input would hold up an orderly end.
    os._exit(0)


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    os._exit(1)
