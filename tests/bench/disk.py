"""How long the disk takes to write and sync as much as a commit does."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path

# The eight pages that the commit of one create writes.
COMMIT_SIZE = 8 * 4096
REPETITIONS = 500
# The file is as long as so many commits, and overwritten again and again, as a write-ahead log is.
FILE_COMMITS = 100


def flush(folder: Path) -> tuple[float, float]:
    """Return the median and the 99th percentile, in milliseconds, of a write and sync in the folder."""
    block, taken = os.urandom(COMMIT_SIZE), []
    handle = os.open(folder / "flushed", os.O_RDWR | os.O_CREAT)
    try:
        for turn in range(FILE_COMMITS + REPETITIONS):
            begun = time.perf_counter()
            os.pwrite(handle, block, turn % FILE_COMMITS * COMMIT_SIZE)
            os.fdatasync(handle)
            if turn >= FILE_COMMITS:
                taken.append((time.perf_counter() - begun) * 1000)
    finally:
        os.close(handle)
    centiles = statistics.quantiles(taken, n=100)
    return centiles[49], centiles[98]
