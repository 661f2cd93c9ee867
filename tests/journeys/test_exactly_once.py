"""Lost answers, cut connections and a server that is killed again and again: each request has its effect once.

`make soak` runs 200 rounds, and writes what was done to .cache/soak/.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from faults.campaign import Campaign, report, summed

ROUNDS = int(os.environ.get("TALLYMARK_TEST_ROUNDS", "3"))
SEED = int(os.environ.get("TALLYMARK_TEST_SEED", "1"))


@pytest.mark.timeout(60 + 20 * ROUNDS)
def test_every_request_has_its_effect_once_whatever_fails(tmp_path: Path) -> None:
    """Whatever is lost, cut or killed: one effect, nothing acknowledged lost, no gap, and watchers told all of it."""
    with Campaign(tmp_path / "tallymark.db", SEED) as campaign:
        try:
            for _ in range(ROUNDS):
                campaign.round()
        finally:
            report(campaign.rounds, SEED, Path(os.environ.get("TALLYMARK_TEST_REPORT", tmp_path)))
    assert campaign.problems == []
    done = summed(campaign.rounds)
    assert done.rounds <= done.kills
    # The last attempt of a request that was given up may have lost its answer and is not repeated.
    assert 0 < done.lost_answers <= done.repeated + done.given_up
    assert done.cuts > 0
    assert done.effects > done.requests / 2
