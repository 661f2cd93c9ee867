"""Record the start and end of steps."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from tallymark.conversion.recordable import add_losses
from tallymark.tracking.context import ActiveRun, Frame, error_text
from tallymark.tracking.recorder import recorder_of
from tallymark.types.enums import RunState


def start_step(frame: Frame, name: str, parameters: Mapping[str, object]) -> str:
    """Record that a step starts, and return its id."""
    add_losses(frame.run.problems, f"step {name!r}, parameter", getattr(parameters, "losses", ()))
    step = f"{name_part(name)}-{secrets.token_hex(4)}"
    recorder_of(frame.run).start_step(frame, step, name, parameters)
    return step


def finish_step(run: ActiveRun, step: str, error: BaseException | None) -> None:
    """Record the outcome of the step."""
    state = RunState.SUCCEEDED if error is None else RunState.FAILED
    text = "" if error is None else error_text(error)
    recorder_of(run).finish_step(step, state, text)


def name_part(name: str) -> str:
    """Return the name as part of an id, with `_` for each character that an id does not allow."""
    return "".join(ch if ch.isascii() and (ch.isalnum() or ch in "._-") else "_" for ch in name)[:80] or "step"
