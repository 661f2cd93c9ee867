"""A training that can be interrupted: it saves its progress in a file, and the next process continues from there.

It records 10,000 points, facts and an artifact. In the middle of each phase, once its progress is saved, it prints a
line and waits for input. A test that kills it there knows what an undisturbed training would have recorded.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Annotated

from tallymark import Artifact, Model, log_metadata, log_metric, pipeline, step

PHASES, POINTS_IN_STEP, POINTS_BETWEEN = 10, 900, 100
POINTS_BEFORE_PAUSE = POINTS_BETWEEN // 2
CHECKPOINT = Path("checkpoint.json")
# A phase that takes longer than this many seconds has waited for a time-out.
SLOW_PHASE = float(os.environ.get("TALLYMARK_TIMEOUT") or "10") / 2


def save_progress(done: int, phase: int, point: int) -> None:
    """Save the progress, so that the next process continues from there."""
    new = CHECKPOINT.with_suffix(".new")
    new.write_text(json.dumps([done, phase, point]))
    new.replace(CHECKPOINT)


def report(**status: object) -> None:
    """Print a status line for the test."""
    print(json.dumps(status), flush=True)


@step
def train(phase: int) -> None:
    """Log a series, and facts at its end."""
    for turn in range(phase * POINTS_IN_STEP, (phase + 1) * POINTS_IN_STEP):
        log_metric("loss", 1 / (turn + 1), step=turn)
    log_metadata({"phase": phase, f"summary_{phase}": {"turns": (phase + 1) * POINTS_IN_STEP, "good": phase % 2 == 0}})
    log_metadata({"evaluated": False})
    log_metadata({"evaluated": True})


@step
def finish() -> Annotated[list[float], Artifact("weights")]:
    """Return the weights, which are saved as an artifact."""
    return [1.0, 0.5, 0.25]


@pipeline(model=Model(name="churn"))
def training() -> int:
    """Run the remaining phases, and return how many of them were slow."""
    trained, first, point = json.loads(CHECKPOINT.read_text()) if CHECKPOINT.exists() else (0, 0, 0)
    slow = 0
    for phase in range(first, PHASES):
        begun = time.monotonic()
        if phase >= trained:
            train(phase)
            trained = phase + 1
            save_progress(trained, phase, 0)
        for turn in range(point, POINTS_BETWEEN):
            log_metric("accuracy", turn / POINTS_BETWEEN, step=phase * POINTS_BETWEEN + turn)
            save_progress(trained, phase, turn + 1)
            if turn + 1 == POINTS_BEFORE_PAUSE:
                slow += time.monotonic() - begun > SLOW_PHASE
                report(phase=phase, slow=slow)
                sys.stdin.readline()
                begun = time.monotonic()
        slow += time.monotonic() - begun > SLOW_PHASE
        point = 0
        save_progress(trained, phase + 1, 0)
    finish()
    return slow


if __name__ == "__main__":
    report(slow=training())
