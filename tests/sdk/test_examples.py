"""The examples of the user's document, unchanged but for the import."""

from typing import Any

import pytest

from tallymark import Client, Model, pipeline, step
from tallymark.testing import Server

pytestmark = pytest.mark.usefixtures("registry_env")


def test_step_and_pipeline_share_an_explicit_version() -> None:
    """The version named in the model is created once, and recorded by pipeline and step."""
    model = Model(name="my_model", version="1.0.5")

    @step(model=model)
    def svc_trainer(gamma: float = 0.001) -> float:
        return gamma

    @pipeline(model=model)
    def training_pipeline() -> None:
        svc_trainer()

    training_pipeline()
    training_pipeline()
    with Client() as client:
        (version,) = client.list_versions("my_model")
        runs = list(client.list_runs())
    assert (version.number, version.name) == (1, "1.0.5")
    assert [run.model_version for run in runs] == [version.resource_name] * 2


def test_named_versions_have_numbers() -> None:
    """really_good_version is number 5, and even_better_version, which a step uses, number 6."""
    with Client() as client:
        client.create_model("my_model")
        for _ in range(4):
            client.create_version("my_model")
        client.create_version("my_model", "really_good_version")

    assert Model(name="my_model", version="really_good_version").number == 5

    @step(model=Model(name="my_model", version="even_better_version"))
    def svc_trainer() -> None: ...

    @pipeline
    def training_pipeline() -> None:
        svc_trainer()

    training_pipeline()
    assert Model(name="my_model", version="even_better_version").number == 6


@pytest.mark.parametrize("arguments", [{}, {"version": None}])
def test_without_a_version_each_run_gets_the_next_number(arguments: dict[str, Any]) -> None:
    """Each run without a version gets the next number."""
    model = Model(name="my_model", **arguments)

    @step(model=model)
    def svc_trainer() -> int:
        return model.number

    @pipeline(model=model)
    def training_pipeline() -> int:
        return svc_trainer()

    assert [training_pipeline(), training_pipeline(), training_pipeline()] == [1, 2, 3]


def test_a_step_takes_precedence_over_its_pipeline(registry_env: Server) -> None:
    """A step's model replaces the pipeline's, only for that step."""
    from tallymark import current_model

    @step(model=Model(name="my_model", version="of the step"))
    def with_model() -> str:
        return current_model().version_name

    @step
    def without_model() -> str:
        return current_model().version_name

    @pipeline(model=Model(name="my_model", version="of the pipeline"))
    def training_pipeline() -> list[str]:
        return [without_model(), with_model(), without_model()]

    assert training_pipeline() == ["of the pipeline", "of the step", "of the pipeline"]
    with Client() as client:
        assert [(v.number, v.name, v.step) for v in client.list_versions("my_model")] == [
            (2, "of the step", "with_model"),
            (1, "of the pipeline", ""),
        ]
