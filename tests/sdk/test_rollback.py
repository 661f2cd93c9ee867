"""Rollbacks of both clients: which version comes back, and what a promotion at the same time changes."""

from typing import Any

import pytest

from tallymark import NewVersion, Stage, errors
from tallymark.client.calls import rollbacks


def test_a_rollback_brings_the_version_back_that_was_there_before(client: Any) -> None:
    """The present holder goes to the archive, a second rollback undoes the first, and each stage has its own."""
    client.create_model("churn")
    client.create_versions("churn", [NewVersion()] * 4)
    for stage in (Stage.PRODUCTION, Stage.STAGING):
        with pytest.raises(errors.StageEmpty, match="promote the one you want"):
            client.rollback("churn", stage=stage)
    for number, entered in ((4, "staging"), (1, "production"), (3, "staging"), (2, "production")):
        client.set_stage(f"churn/{number}", entered, force=True)
    assert client.rollback("churn", validate_only=True).number == 1
    assert client.get_version("churn@production").number == 2
    assert (client.rollback("churn").number, client.get_version("churn/2").stage) == (1, Stage.ARCHIVED)
    assert client.rollback("churn", reason="the first was worse").number == 2
    reasons = [event.reason for event in client.history("churn", kinds=["stage_changed"])]
    assert reasons[:3:2] == ["the first was worse", "rollback from 2"]
    client.set_stage("churn/2", "archived")
    assert client.rollback("churn").number == 2
    assert client.rollback("churn", stage="staging").number == 4
    with pytest.raises(errors.InvalidField):
        client.rollback("churn", stage="archived")


def test_a_rollback_archives_only_the_version_that_it_read(client: Any) -> None:
    """Whoever is promoted between what a rollback reads and its change stays, and the rollback is refused."""
    client.create_model("churn")
    client.create_versions("churn", [NewVersion()] * 3)
    for number in (1, 2):
        client.set_stage(f"churn/{number}", "production", force=True)
    read = client.get_model("churn")
    client.set_stage("churn/3", "production", force=True)
    with pytest.raises(errors.StageMoved) as caught:
        client.run_call(rollbacks.rollback("default", read, "production", 1, ""))
    assert caught.value.metadata["number"] == "3"
    assert [client.get_version(f"churn/{number}").stage for number in (1, 2, 3)] == [
        "archived",
        "archived",
        "production",
    ]
