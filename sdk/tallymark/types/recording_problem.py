"""`RecordingProblem`: what of a run could not be recorded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RecordingProblem:
    """What could not be recorded (`metadata 'auc'`), why, and how often."""

    subject: str
    problem: str
    count: int = 1
