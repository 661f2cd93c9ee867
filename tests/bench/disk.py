"""What the disk itself takes for a commit, whoever asks it."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path

# The eight pages that the commit of one create writes.
FLUSHED = 8 * 4096
TURNS = 500
# Written again and again, as a write-ahead log is.
PLACES = 100


def flush(folder: Path) -> tuple[float, float]:
    """The median and the 99th percentile, in milliseconds, of a write in the folder and its way to the disk."""
    block, taken = os.urandom(FLUSHED), []
    handle = os.open(folder / "flushed", os.O_RDWR | os.O_CREAT)
    try:
        for turn in range(PLACES + TURNS):
            begun = time.perf_counter()
            os.pwrite(handle, block, turn % PLACES * FLUSHED)
            os.fdatasync(handle)
            if turn >= PLACES:
                taken.append((time.perf_counter() - begun) * 1000)
    finally:
        os.close(handle)
    centiles = statistics.quantiles(taken, n=100)
    return centiles[49], centiles[98]
