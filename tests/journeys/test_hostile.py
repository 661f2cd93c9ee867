"""Attacks on a running server: it answers other clients meanwhile, in bounded memory, and stops on SIGTERM.

`make bench-hostile` runs all attacks for longer, and measures the latency of a small get.
"""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from bench.hostile import MAX_MEMORY_MB, attacking, fill, peak_memory_mb
from grpc_calls import Calls

from tallymark.client.channel import channel_options
from tallymark.testing import Server

ATTACK_SECONDS = 4.0
GETS = 20


@pytest.mark.parametrize(
    "attack",
    ["half messages", "unread lists", "unread exports", "half posts", "false length", "unread pages", "worst requests"],
)
def test_an_attack_is_survived(tmp_path: Path, attack: str) -> None:
    """Half-sent requests, unread answers and the largest requests neither stop the service nor exhaust its memory."""
    with (
        Server(tmp_path / "t.db", http="127.0.0.1:0") as server,
        grpc.insecure_channel(server.address, options=channel_options(None, are_several=False)) as channel,
    ):
        calls = Calls(channel)
        fill(calls)
        with attacking(attack, server, ATTACK_SECONDS) as attacker:
            for _ in range(GETS):
                assert calls.version("bench", "1").number == 1
            assert attacker.communicate(timeout=60)[0]
            assert calls.version("bench", "1").number == 1
            assert peak_memory_mb(server) < MAX_MEMORY_MB
        with attacking(attack, server, 60):
            calls.create_version("bench")
            server.stop()
