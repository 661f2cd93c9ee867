"""Recording problems in other processes of a run are reported for the run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

import tallymark
from sdk.forking_programs import run_program

from tallymark import Client, Model
from tallymark.testing import Server


@pytest.fixture
def client(registry_env: Server) -> Iterator[Client]:
    with Client() as made:
        yield made


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_problems_of_another_process_are_reported_once(client: Client, method: str) -> None:
    """They are reported though it recorded nothing else; earlier problems of the run are not counted again."""
    problems = client.get_run(run_program(method, "problem")).recording_problems
    assert {problem.subject: problem.count for problem in problems} == {
        "metadata 'made before'": 1,
        "metadata 'made in a worker'": 1,
    }


def test_a_program_that_joins_a_run_reports_its_problems(client: Client) -> None:
    """The log of the process has the summary, and the run has the problem."""
    code = "import tallymark; tallymark.log_metric('loss', 'much', step=1)"
    with tallymark.run(model=Model("churn")) as run:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "metric 'loss': log_metric(value=...) takes a number, not a str" in done.stderr
    assert ": 1 record was left out, changed or lost: " in done.stderr
    assert [problem.subject for problem in client.get_run(run.id).recording_problems] == ["metric 'loss'"]
