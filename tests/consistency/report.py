"""The report of a check: how many requests were sent, answered and refused."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from consistency.history import Operation, Refusal
from consistency.workload import REQUESTS


def report(name: str, done: Mapping[str, int], history: Sequence[Operation], default: Path) -> None:
    """Write the counts as JSON and as a table, with how often each method was answered and refused.

    They are written to the folder TALLYMARK_TEST_REPORT, or else to the default one.
    """
    folder = Path(os.environ.get("TALLYMARK_TEST_REPORT", default))
    folder.mkdir(parents=True, exist_ok=True)
    answers: dict[str, Counter[str]] = {method: Counter() for method in REQUESTS}
    for each in history:
        kind = (
            "unanswered" if not each.answers else "refused" if isinstance(each.answers[0][1], Refusal) else "answered"
        )
        answers[each.method][kind] += 1
    (folder / f"{name}.json").write_text(json.dumps({"total": done, "methods": answers}, indent=1) + "\n")
    lines = [f"{each:>12}  {count:>10,}" for each, count in done.items()]
    lines += [f"{method:>26}  {dict(counts)}" for method, counts in answers.items()]
    (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
