"""`Model(name, version)` outside of runs."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tallymark import Client, Model, Stage, errors, pipeline
from tallymark.testing import Server

pytestmark = pytest.mark.usefixtures("registry_env")


@pytest.fixture
def client(registry_env: Server) -> Client:
    return Client()


def test_an_object_gets_one_new_number() -> None:
    """Without a version, the first use creates the next one, also when many threads use the object first."""
    model = Model("churn")
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(lambda _: model.number, range(64))) == {1}
    assert Model("churn").number == 2
    assert copy.copy(model).number == pickle.loads(pickle.dumps(model)).number == 1


def test_creating_and_printing_a_model_sends_no_request(registry_env: Server) -> None:
    """Constructor, repr, equality and hash do not need the registry."""
    registry_env.stop()
    assert repr(Model("churn")) == "Model('churn')"
    assert repr(Model("churn", 3)) == "Model('churn', '3')"
    assert Model("churn", 3) == Model("churn", "3") != Model("churn")
    assert len({Model("churn"), Model("churn"), Model("churn", "a")}) == 2


def test_each_kind_of_version_is_resolved(client: Client) -> None:
    """Number, digits, name, stage, alias and latest find the version; a missing name is created."""
    for name in ("", "rc", ""):
        client.create_version("churn", name) if name or list(client.list_models()) else client.create_model("churn")
    client.create_version("churn")
    client.set_stage("churn/1", "production")
    client.set_alias("churn/1", "champion")
    expected: dict[Any, int] = {1: 1, "1": 1, "rc": 1, "production": 1, Stage.PRODUCTION: 1, "@champion": 1}
    assert {version: Model("churn", version).number for version in expected} == expected
    latest = Model("churn", "latest").number
    assert latest == client.get_model("churn").last_number
    assert Model("churn", "new").number == latest + 1


@pytest.mark.parametrize("version", [7, "8", "latest", "production", "@champion"])
def test_a_failed_lookup_creates_nothing(client: Client, version: Any) -> None:
    """A missing number, stage or alias raises NotFound, and creates not even the model."""
    with pytest.raises(errors.NotFound):
        _ = Model("churn", version).number
    assert list(client.list_models()) == []


@pytest.mark.parametrize("version", [True, 0, -1, 1.5, "", b"1", ["1"]])
def test_a_version_of_the_wrong_type_is_refused(version: Any) -> None:
    """The constructor names the accepted types."""
    with pytest.raises(errors.InvalidArgument, match="version is"):
        Model("churn", version)


def test_other_arguments_of_the_wrong_type_are_refused() -> None:
    """Names, descriptions and tags must be text."""
    wrong: list[dict[str, Any]] = [{"name": 1}, {"name": "a", "license": 1}, {"name": "a", "tags": [1]}]
    for arguments in wrong:
        with pytest.raises(errors.InvalidArgument, match="text"):
            Model(**arguments)


@pytest.mark.parametrize("name", ["", "a/b", "x" * 256, "a\nb"])
def test_a_bad_name_is_refused_by_the_registry(name: str) -> None:
    """The error names the field and the rule of the registry."""
    with pytest.raises(errors.InvalidName, match="1 to 255 characters") as caught:
        _ = Model(name).number
    assert caught.value.metadata["field"] == "config.model"


@pytest.mark.parametrize("version", ["Production", "archived", "LATEST"])
def test_a_stage_in_the_wrong_case_is_refused(version: str) -> None:
    """A reserved word in another letter case is not a valid version name."""
    with pytest.raises(errors.ReservedName):
        _ = Model("churn", version).number


def test_a_created_model_has_the_description_of_the_object(client: Client) -> None:
    """The fields of the first Model describe the model; tags are set on each version."""
    model = Model("churn", description="d", license="MIT", ethics="none", tags=["b", "a"])
    assert (model.number, model.info.tags) == (1, ("a", "b"))
    found = client.get_model("churn")
    assert (found.description, found.license, found.ethics, found.tags) == ("d", "MIT", "none", ("a", "b"))


def test_stage_aliases_and_metadata_are_set_through_a_model(client: Client) -> None:
    """They are set on the version, and read again at each access."""
    model = Model("churn", "1.0.5")
    model.log_metadata({"auc": 0.9, "fast": True})
    stage = model.stage
    assert stage is Stage.NONE
    promoted = model.set_stage("production", reason="best so far")
    assert repr(promoted) == "ModelVersion(churn No.1 '1.0.5' production)"
    assert model.set_alias("champion").aliases == ("champion",)
    stage = model.stage
    assert stage is Stage.PRODUCTION
    assert dict(model.info.metadata) == {"auc": 0.9, "fast": True}
    other = Model("churn")
    assert other.number == 2
    with pytest.raises(errors.StageOccupied) as caught:
        other.set_stage(Stage.PRODUCTION)
    assert caught.value.metadata["number"] == "1"
    other.set_stage(Stage.PRODUCTION, force=True)
    assert model.stage is Stage.ARCHIVED


def test_an_unknown_stage_is_refused_before_it_is_sent(client: Client) -> None:
    """The error for a misspelt stage lists the valid ones."""
    Model("churn", "a").number  # noqa: B018 - the access creates the version
    with pytest.raises(errors.InvalidField, match="none, staging, production, archived"):
        client.set_stage("churn/1", "prod")


async def test_a_number_can_be_awaited() -> None:
    """In asyncio code, the number is read without blocking the event loop."""
    model = Model("churn")
    assert await model.anumber() == 1
    assert model.number == 1


def test_after_a_run_a_model_has_the_number_of_the_run() -> None:
    """A model without a version has the number of the last run, and creates no further version."""
    model = Model("churn")

    @pipeline(model=model)
    def training() -> int:
        return model.number

    assert [training(), training()] == [1, 2]
    assert model.number == 2
    assert Model("churn", "latest").number == 2


def test_a_model_used_in_many_runs_does_not_grow(client: Client) -> None:
    """Old runs leave the cache, but the version that an object refers to stays."""
    outside, unused = Model("other"), Model("third")
    numbers = outside.number, unused.number
    model = Model("churn")

    @pipeline(model=model)
    def training() -> int:
        return outside.number and model.number

    assert [training() for _ in range(100)] == list(range(1, 101))
    assert len(model._version_cache.versions) < 100
    assert (outside.number, unused.number) == (101, 1)
    assert numbers == (1, 1)


def test_templates_are_filled_in_once(client: Client) -> None:
    """{date} and {time} are those of the first use, and stay."""
    model = Model("churn", "{date} {time}")
    assert model.version_name == model.version_name
    assert client.get_model("churn").last_number == model.number == 1
    assert "{" not in model.version_name


@pytest.mark.parametrize("version", ["{run}", "{0}", "{", "{date.x}"])
def test_an_unknown_template_is_refused(client: Client, version: str) -> None:
    """The error for an unknown key lists the valid ones."""
    with pytest.raises(errors.InvalidArgument, match=r"\{date\}, \{time\}"):
        _ = Model("churn", version).number
    assert list(client.list_models()) == []


def test_a_failed_lookup_is_repeated(client: Client) -> None:
    """An object that found no version in production finds the one that is promoted later."""
    churn = Model("churn", version="production")
    client.create_model("churn")
    client.create_version("churn")
    for _ in range(2):
        with pytest.raises(errors.StageEmpty):
            _ = churn.number
    client.set_stage("churn/1", "production")
    assert churn.number == 1


def test_advice_for_a_missing_model_is_given_once() -> None:
    """The error says once to check the name, and how to create the model."""
    with pytest.raises(errors.ModelNotFound) as refusal:
        _ = Model("typo").info
    assert str(refusal.value).count("check its name") == 1
    assert "create the model and its version with Model('typo').create()" in str(refusal.value)
    assert "check the name" not in str(refusal.value)
