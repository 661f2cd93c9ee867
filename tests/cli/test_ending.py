"""`run finish` and `run abort`: the end of runs whose own program is gone."""

from __future__ import annotations

from typing import Any

from tallymark import Client


def test_a_run_is_finished_and_aborted(run: Any, churn: Client) -> None:
    """A running run is recorded as succeeded, or as failed with the actor and the reason."""
    churn.start_run("nightly-7")
    churn.start_run("nightly-8")
    done = run("run", "finish", "nightly-7", "--yes", env={"TALLYMARK_ACTOR": "ana"})
    assert (done.exit_code, churn.get_run("nightly-7").state) == (0, "succeeded")
    done = run("run", "abort", "nightly-8", "--reason", "machine gone", "--yes", env={"TALLYMARK_ACTOR": "ana"})
    aborted = churn.get_run("nightly-8")
    assert (done.exit_code, aborted.state, aborted.error) == (0, "failed", "aborted by ana: machine gone")


def test_finish_and_abort_refuse_a_finished_run(run: Any, churn: Client) -> None:
    """The error for a finished run says how it ended, and comes before the confirmation."""
    churn.start_run("r1")
    churn.finish_run("r1", "failed", error="out of memory")
    before = churn.newest_revision()
    for command in ("finish", "abort"):
        done = run("run", command, "r1")
        assert (done.exit_code, done.stdout) == (6, "")
        assert "is finished as failed (out of memory)" in done.stderr
    assert run("run", "abort", "r2", "--yes").exit_code == 4
    assert churn.newest_revision() == before


def test_finish_and_abort_ask_for_confirmation(run: Any, on_terminal: Any, churn: Client) -> None:
    """On a terminal there is a question; without one, --yes is required."""
    churn.start_run("r1")
    assert run("run", "abort", "r1").exit_code == 2
    code, shown = on_terminal("run", "abort", "r1", typed="n\n")
    assert (code, "Record that the run r1 (running) has failed?" in shown) == (1, True)
    assert churn.get_run("r1").state == "running"
    code, shown = on_terminal("run", "abort", "r1", typed="y\n")
    assert (code, churn.get_run("r1").state) == (0, "failed"), shown
