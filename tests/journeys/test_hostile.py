"""Attacks on a running server: it answers others meanwhile, in bounded memory, and stops when it is told to.

`make bench-hostile` makes all attacks for longer, and measures what a small get suffers.
"""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from bench.hostile import MEMORY, attacking, fill, memory_of
from grpc_calls import Calls

from tallymark.client.channel import OPTIONS
from tallymark.testing import Server

# In seconds; how much of an attack passes in it depends on the machine, and every bound must hold all the same.
LENGTH = 4.0
GETS = 20


@pytest.mark.parametrize(
    "attack",
    ["half messages", "unread lists", "unread exports", "half posts", "false length", "unread pages", "worst requests"],
)
def test_an_attack_is_survived(tmp_path: Path, attack: str) -> None:
    """Whoever sends by halves, never reads or sends the worst takes neither the memory nor the service from others."""
    with (
        Server(tmp_path / "t.db", http="127.0.0.1:0") as server,
        grpc.insecure_channel(server.address, options=OPTIONS) as channel,
    ):
        calls = Calls(channel)
        fill(calls)
        with attacking(attack, server, LENGTH) as attacker:
            for _ in range(GETS):
                assert calls.version("bench", "1").number == 1
            assert attacker.communicate(timeout=60)[0]
            assert calls.version("bench", "1").number == 1
            assert memory_of(server) < MEMORY
        with attacking(attack, server, 60):
            calls.create_version("bench")
            server.stop()
