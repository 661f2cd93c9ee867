"""All answers to concurrent clients agree with one log, in the order of real time, also when the server is killed.

`make soak` sends more requests, and writes their counts to .cache/soak/.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from consistency.checker import Checker
from consistency.clients import export_log, running_clients
from consistency.history import Operation, Refusal
from consistency.workload import UNCHECKED_METHODS, SERVICES, REQUESTS
from tallymark.testing import Server

REQUEST_COUNT = int(os.environ.get("TALLYMARK_TEST_CONSISTENCY", "600"))
# With fewer requests than this, the server is killed after each part of them instead of after 100 to 600.
SHORT_RUN = 2000
SEED = os.environ.get("TALLYMARK_TEST_SEED", "1")
CLIENTS = 8


def test_the_workload_has_every_method_of_the_contract() -> None:
    """A method that is added to the contract must be added to the workload."""
    services = [service for module, _ in SERVICES.values() for service in module.DESCRIPTOR.services_by_name.values()]
    assert {method.name for service in services for method in service.methods} == set(REQUESTS)


@pytest.mark.timeout(180 + REQUEST_COUNT)
def test_no_answer_contradicts_the_log_or_another_answer(tmp_path: Path) -> None:
    """With concurrent copies, cancelled calls and kills, each answer matches the log between its call and its reply."""
    kills, started = 0, 0
    choose = random.Random(SEED)
    with Server(tmp_path / "tallymark.db") as server:
        with running_clients([server], CLIENTS, SEED) as load:
            while started < REQUEST_COUNT:
                count = (
                    choose.randint(REQUEST_COUNT // 8, REQUEST_COUNT // 4)
                    if REQUEST_COUNT < SHORT_RUN
                    else choose.randint(100, 600)
                )
                load.wait_for(count)
                started += count
                server.kill()
                server.start()
                kills += 1
        assert [client.failure for client in load.clients if client.failure] == []
        history = [operation for client in load.clients for operation in client.history]
        log = export_log(server)
    checker = Checker(log, [each for each in history if each.method not in UNCHECKED_METHODS])
    problems = [*checker.problems(), *project_contradictions(history)]
    done = {
        "operations": len(history),
        "kills": kills,
        "hedged": sum(client.hedged for client in load.clients),
        "repeated": sum(client.repeated for client in load.clients),
        "cancelled": sum(client.cancelled for client in load.clients),
        "effects": len(log.receipts),
        "revisions": log.head,
        "checks": checker.compared,
        "problems": len(problems),
    }
    report(done, history, tmp_path)
    assert problems == [], "\n".join(problems[:5])
    assert done["effects"] > 0 < done["hedged"]


def project_contradictions(history: list[Operation]) -> list[str]:
    """Return contradictions about projects: each is created once, and exists from then on."""
    found = []
    created: dict[str, list[Operation]] = {}
    for each in history:
        if each.method == "CreateProject":
            created.setdefault(each.request.project_id, []).append(each)
    for name, operations in created.items():
        done = [each for each in operations if each.answers and not isinstance(each.answers[0][1], Refusal)]
        unknown = [each for each in operations if not each.answers]
        if len(done) > 1 or (not done and not unknown):
            found.append(f"{name} was created {len(done)} times")
        begun = min((each.begin for each in [*done, *unknown]), default=0.0)
        found += [f"{each}: answered before it began" for each in operations if each.end < begun]
    for each in history:
        if each.method == "GetProject" and each.answers:
            name = each.request.name.split("/")[1]
            others = created.get(name, [])
            if isinstance(each.answers[0][1], Refusal):
                wrong = any(other.end < each.begin for other in others)
            else:
                wrong = all(other.begin > each.end for other in others)
            found += [f"{each}: {each.answers[0][1]}"] if wrong else []
    return found


def report(done: dict[str, int], history: list[Operation], tmp_path: Path) -> None:
    """Write the counts as JSON and as a table, with how often each method was answered and refused."""
    folder = Path(os.environ.get("TALLYMARK_TEST_REPORT", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    answers: dict[str, Counter[str]] = {method: Counter() for method in REQUESTS}
    for each in history:
        kind = "unanswered" if not each.answers else "refused" if refused(each.answers[0][1]) else "answered"
        answers[each.method][kind] += 1
    (folder / "consistency.json").write_text(json.dumps({"total": done, "methods": answers}, indent=1) + "\n")
    lines = [f"{name:>12}  {count:>10,}" for name, count in done.items()]
    lines += [f"{method:>26}  {dict(counts)}" for method, counts in answers.items()]
    (folder / "consistency.txt").write_text("\n".join(lines) + "\n")


def refused(answer: Any) -> bool:
    return isinstance(answer, Refusal)
