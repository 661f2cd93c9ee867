"""Test a training with a real registry: `pytest test_training.py`.

The fixture `registry` comes with Tallymark. It starts a registry on a temporary file, lets this process record there,
and stops it after the test, so each test begins with number 1. Where the registry does not matter, recording is off.
"""

import pytest
from tallymark import Client, Model, log_metadata, pipeline, step

model = Model(name="churn")


@step
def train(depth: int) -> float:
    auc = 0.8 + depth / 100
    log_metadata({"depth": depth, "auc": auc})
    return auc


@pipeline(model=model)
def training(depth: int) -> float:
    if depth < 1:
        raise ValueError("a tree has a depth of 1 at least")
    return train(depth)


def test_each_training_makes_a_version(registry):
    training(2)
    training(4)
    with Client() as client:
        found = {version.number: version.metadata["depth"] for version in client.list_versions("churn")}
    assert found == {1: 2, 2: 4}


def test_a_training_that_fails_is_recorded_as_failed(registry):
    with pytest.raises(ValueError, match="depth"):
        training(0)
    with Client() as client:
        (run,) = client.list_runs()
    assert (run.state, run.error) == ("failed", "ValueError: a tree has a depth of 1 at least")


def test_the_calculation_needs_no_registry(monkeypatch):
    monkeypatch.setenv("TALLYMARK_MODE", "disabled")
    assert training(2) == pytest.approx(0.82)
