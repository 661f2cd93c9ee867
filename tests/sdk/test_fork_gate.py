"""The gate between calls and forks, which every call of the blocking client passes."""

from __future__ import annotations

import sys
import threading
from types import FrameType
from typing import Any

from tallymark.client.fork_gate import ForkGate


def test_a_signal_that_calls_may_arrive_at_any_line_of_the_gate() -> None:
    """Python runs handlers of signals between two lines of the main thread, also while it holds the gate's lock."""
    gate = ForkGate()
    ways = {ForkGate.__enter__.__code__, ForkGate.__exit__.__code__}
    signals = []

    def call(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            signals.append(frame.f_lineno)
            # Within a tracing function nothing is traced.
            with gate:
                pass
        return call if frame.f_code in ways else None

    def main() -> None:
        sys.settrace(call)
        with gate:
            pass

    thread = threading.Thread(target=main, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    assert len(signals) > len(ways)
