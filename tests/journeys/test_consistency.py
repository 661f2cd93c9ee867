"""All answers to concurrent clients agree with one log, in the order of real time, also when the server is killed.

`make soak` sends more requests, and writes their counts to .cache/soak/.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from consistency.checker import Checker
from consistency.clients import export_log, running_clients
from consistency.projects import contradictions
from consistency.report import report
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
    problems = [*checker.problems(), *contradictions(history)]
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
    report("consistency", done, history, tmp_path)
    assert problems == [], "\n".join(problems[:5])
    assert done["effects"] > 0 < done["hedged"]
