"""Rules need no folder: what every other test is given on a disk is left out here."""

import pytest


@pytest.fixture(autouse=True)
def spool() -> None:
    """No spool, since nothing here records a run from outside."""
