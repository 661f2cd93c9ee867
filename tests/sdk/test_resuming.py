"""Programs that watch, crash, and resume."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


from tallymark import Client, NewVersion
from tallymark.testing import Server

# Writes each revision to a file as soon as it is received, and starts after the last one in the file.
FOLLOWER = """
import sys
from tallymark import Client

with open(sys.argv[1], "a+") as kept:
    kept.seek(0)
    told = kept.read().split()
    for event in Client().watch(int(told[-1]) if told else 0):
        kept.write(f"{event.revision}\\n")
        kept.flush()
        print(event.revision, flush=True)
"""


def follow(server: Server, kept: Path, count: int) -> list[int]:
    """Return the events that a program received until it was killed, after this many."""
    environment = {**os.environ, "TALLYMARK_URL": server.address}
    command: Sequence[str] = [sys.executable, "-c", FOLLOWER, str(kept)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(count)]
        process.kill()
    return told


def test_a_crashed_watcher_resumes_where_it_stopped(server: Server, tmp_path: Path) -> None:
    """A watcher is killed repeatedly and the server restarted: each event is received, none twice."""
    kept = tmp_path / "kept"
    with Client(server.address) as client:
        client.create_model("churn")
        client.create_versions("churn", [NewVersion()] * 20)
        assert follow(server, kept, 7) == list(range(1, 8))
        client.create_versions("churn", [NewVersion()] * 20)
        server.restart()
        resumed = len(kept.read_text().split())
        assert follow(server, kept, 9) == list(range(resumed + 1, resumed + 10))
        resumed = len(kept.read_text().split())
        assert follow(server, kept, 41 - resumed) == list(range(resumed + 1, 42))
    assert [int(line) for line in kept.read_text().split()] == list(range(1, 42))
