"""Everything that clients are told agrees with one log, in the order of real time, whatever fails meanwhile.

`make soak` asks for longer, and writes what was done to .cache/soak/.
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
from consistency.clients import asking, exported
from consistency.history import Operation, Refusal
from consistency.workload import ELSEWHERE, SERVICES, WORK
from tallymark.testing import Server

REQUESTS = int(os.environ.get("TALLYMARK_TEST_CONSISTENCY", "600"))
# Of so few requests, the server is killed after a part of them.
FEW = 2000
SEED = os.environ.get("TALLYMARK_TEST_SEED", "1")
CLIENTS = 8


def test_every_method_of_the_contract_is_asked() -> None:
    """A new method has its place in the mix."""
    services = [service for module, _ in SERVICES.values() for service in module.DESCRIPTOR.services_by_name.values()]
    assert {method.name for service in services for method in service.methods} == set(WORK)


@pytest.mark.timeout(180 + REQUESTS)
def test_no_answer_contradicts_the_log_or_another_answer(tmp_path: Path) -> None:
    """Copies at once, calls that are left, kills and restarts: every answer was so between call and reply."""
    kills, begun = 0, 0
    choose = random.Random(SEED)
    with Server(tmp_path / "tallymark.db") as server:
        with asking(server, CLIENTS, SEED) as load:
            while begun < REQUESTS:
                some = choose.randint(REQUESTS // 8, REQUESTS // 4) if REQUESTS < FEW else choose.randint(100, 600)
                load.wait_for(some)
                begun += some
                server.kill()
                server.start()
                kills += 1
        assert [client.failure for client in load.clients if client.failure] == []
        history = [operation for client in load.clients for operation in client.history]
        log = exported(server)
    checker = Checker(log, [each for each in history if each.method not in ELSEWHERE])
    problems = [*checker.problems(), *of_projects(history)]
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


def of_projects(history: list[Operation]) -> list[str]:
    """What cannot have been told of projects: each is created once, and is there from then on."""
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
    """Write what was done as JSON and as a table, with how often each method was answered and refused."""
    folder = Path(os.environ.get("TALLYMARK_TEST_REPORT", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    answers: dict[str, Counter[str]] = {method: Counter() for method in WORK}
    for each in history:
        kind = "unanswered" if not each.answers else "refused" if refused(each.answers[0][1]) else "answered"
        answers[each.method][kind] += 1
    (folder / "consistency.json").write_text(json.dumps({"total": done, "methods": answers}, indent=1) + "\n")
    lines = [f"{name:>12}  {count:>10,}" for name, count in done.items()]
    lines += [f"{method:>26}  {dict(counts)}" for method, counts in answers.items()]
    (folder / "consistency.txt").write_text("\n".join(lines) + "\n")


def refused(answer: Any) -> bool:
    return isinstance(answer, Refusal)
