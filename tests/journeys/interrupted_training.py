"""A training as people write it for machines that may go away: it goes on from a file of its own.

It records 10,000 points, facts and an artifact. In the midst of each phase, where its file says how far it has come, it
tells so and waits to be let go on: whoever kills it there knows what a training without a fault would have recorded.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Annotated

from tallymark import Artifact, Model, log_metadata, log_metric, pipeline, step

PHASES, IN_STEP, BETWEEN = 10, 900, 100
PAUSE = BETWEEN // 2
CHECKPOINT = Path("checkpoint.json")
# A phase in which something waited for a time-out takes longer than this.
SLOW = float(os.environ.get("TALLYMARK_TIMEOUT") or "10") / 2


def reached(done: int, phase: int, point: int) -> None:
    """Remember how far the training has come, so that the next process goes on from there."""
    new = CHECKPOINT.with_suffix(".new")
    new.write_text(json.dumps([done, phase, point]))
    new.replace(CHECKPOINT)


def tell(**told: object) -> None:
    """Tell whoever has started this."""
    print(json.dumps(told), flush=True)


@step
def train(phase: int) -> None:
    """Log a series, and what is known at its end."""
    for turn in range(phase * IN_STEP, (phase + 1) * IN_STEP):
        log_metric("loss", 1 / (turn + 1), step=turn)
    log_metadata({"phase": phase, f"summary_{phase}": {"turns": (phase + 1) * IN_STEP, "good": phase % 2 == 0}})
    log_metadata({"evaluated": False})
    log_metadata({"evaluated": True})


@step
def finish() -> Annotated[list[float], Artifact("weights")]:
    """Return what was learnt."""
    return [1.0, 0.5, 0.25]


@pipeline(model=Model(name="churn"))
def training() -> int:
    """Run the phases that are not done; return in how many of them somebody waited."""
    trained, first, point = json.loads(CHECKPOINT.read_text()) if CHECKPOINT.exists() else (0, 0, 0)
    slow = 0
    for phase in range(first, PHASES):
        begun = time.monotonic()
        if phase >= trained:
            train(phase)
            trained = phase + 1
            reached(trained, phase, 0)
        for turn in range(point, BETWEEN):
            log_metric("accuracy", turn / BETWEEN, step=phase * BETWEEN + turn)
            reached(trained, phase, turn + 1)
            if turn + 1 == PAUSE:
                slow += time.monotonic() - begun > SLOW
                tell(phase=phase, slow=slow)
                sys.stdin.readline()
                begun = time.monotonic()
        slow += time.monotonic() - begun > SLOW
        point = 0
        reached(trained, phase + 1, 0)
    finish()
    return slow


if __name__ == "__main__":
    tell(slow=training())
