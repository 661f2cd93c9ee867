"""Each request has its effect once, although answers are lost, connections are cut and the server is killed.

`make soak` runs 200 rounds, and writes their counts to .cache/soak/.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from faults.campaign import Campaign, report, total

ROUNDS = int(os.environ.get("TALLYMARK_TEST_ROUNDS", "3"))
SEED = int(os.environ.get("TALLYMARK_TEST_SEED", "1"))


@pytest.mark.timeout(60 + 20 * ROUNDS)
def test_every_request_has_its_effect_once_whatever_fails(tmp_path: Path) -> None:
    """Each request has one effect, acknowledged changes survive, numbers have no gap, watchers get every event."""
    with Campaign(tmp_path / "tallymark.db", SEED) as campaign:
        try:
            for _ in range(ROUNDS):
                campaign.round()
        finally:
            report(campaign.rounds, SEED, Path(os.environ.get("TALLYMARK_TEST_REPORT", tmp_path)))
    assert campaign.problems == []
    done = total(campaign.rounds)
    assert done.rounds <= done.kills
    # The lost answer of a request that was given up is not followed by another attempt.
    assert 0 < done.lost_answers <= done.repeated + done.given_up
    assert done.cuts > 0
    assert done.effects > done.requests / 2
