"""The steps of runs, recorded as they start and end, and what must be told before they end.

Recording a step is never worth a training: when it cannot be done, this is told in a warning, once for each run, and
the step goes on. The registry is asked no more in that run then, so that nobody waits for it at every step.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from tallymark import calls
from tallymark.calls import Call
from tallymark.client import shared
from tallymark.context import ActiveRun, Frame, outcome
from tallymark.errors import TallymarkError
from tallymark.recordable import add_losses
from tallymark.recording import known_in
from tallymark.values import RunState
from tallymark.warning import warn


def start_step(frame: Frame, name: str, parameters: Mapping[str, object]) -> str:
    """The id of the step that is started; empty when it could not be recorded."""
    run = frame.run
    add_losses(run.problems, f"step {name!r}, parameter", getattr(parameters, "losses", ()))
    version = known_in(frame)
    step = f"{name_part(name)}-{secrets.token_hex(4)}"
    where = version.resource_name if version is not None else ""
    told = _tell(run, calls.start_step(run.settings.project, run.id, step, name, where, parameters))
    return step if told else ""


def finish_step(run: ActiveRun, step: str, error: BaseException | None) -> None:
    """Record the outcome of the step."""
    state = RunState.SUCCEEDED if error is None else RunState.FAILED
    text = "" if error is None else outcome(error)
    _tell(run, calls.finish_step(run.settings.project, run.id, step, state, text))


def name_part(name: str) -> str:
    """The name as a part of an id: what an id takes of it."""
    return "".join(ch if ch.isascii() and (ch.isalnum() or ch in "._-") else "_" for ch in name)[:80] or "step"


def _tell(run: ActiveRun, call: Call[Any]) -> bool:
    if run.steps_lost:
        return False
    try:
        shared(run.settings).run_call(call)
    except TallymarkError as problem:
        run.steps_lost = True
        warn(f"the steps of {run!r} are recorded no more: {problem}")
        return False
    return True
