"""The version that a `Model` object refers to outside, in and after runs, and which attributes create one."""

import logging
import pickle
import re
import tempfile
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

import tallymark
from tallymark import Client, Model, current_model, errors, log_metadata, pipeline
from tallymark.testing import Server

pytestmark = pytest.mark.usefixtures("registry_env")


@pytest.fixture
def client(registry_env: Server) -> Client:
    return Client()


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test in a folder of its own, where artifacts are saved."""
    monkeypatch.chdir(tmp_path)


@dataclass
class Use:
    """How an attribute of a Model is used, and whether that creates a missing version."""

    ask: Callable[[Model], object]
    creates: bool = False
    asks_nothing: bool = False


async def _awaited(model: Model) -> int:
    return await model.anumber()


def _anumber(model: Model) -> int:
    import asyncio

    return asyncio.run(_awaited(model))


# Every public attribute of a Model. One that is missing here fails the test below.
USES = {
    "name": Use(lambda model: model.name, asks_nothing=True),
    "version": Use(lambda model: model.version, asks_nothing=True),
    "tags": Use(lambda model: model.tags, asks_nothing=True),
    "number": Use(lambda model: model.number, creates=True),
    "anumber": Use(_anumber, creates=True),
    "id": Use(lambda model: model.id, creates=True),
    "version_name": Use(lambda model: model.version_name, creates=True),
    "create": Use(lambda model: model.create(), creates=True),
    "save": Use(lambda model: model.save("facts", {"a": 1}, format="json"), creates=True),
    "log_model": Use(lambda model: model.log_model({"a": 1}, "facts"), creates=True),
    "log_metadata": Use(lambda model: model.log_metadata({"a": 1}), creates=True),
    "log_metric": Use(lambda model: model.log_metric("loss", 1.0, step=1), creates=True),
    "log_metrics": Use(lambda model: model.log_metrics({"loss": 1.0}, step=1), creates=True),
    "info": Use(lambda model: model.info),
    "stage": Use(lambda model: model.stage),
    "metadata": Use(lambda model: model.metadata),
    "aliases": Use(lambda model: model.aliases),
    "artifacts": Use(lambda model: model.artifacts),
    "load": Use(lambda model: model.load("facts")),
    "download": Use(lambda model: model.download("facts", tempfile.mkdtemp())),
    "set_stage": Use(lambda model: model.set_stage("staging", reason="tried")),
    "set_alias": Use(lambda model: model.set_alias("champion")),
}
PLACES = ["outside", "inside"]
VERSIONS = {"automatic": None, "named": "1.0.5"}


def test_every_public_attribute_of_a_model_is_tested() -> None:
    """The tests here use every public attribute of a Model."""
    assert {name for name in dir(Model("churn")) if not name.startswith("_")} == USES.keys()


def _place(where: str) -> AbstractContextManager[object]:
    return nullcontext() if where == "outside" else tallymark.run(model=Model("of the run"))


def _numbers_of(client: Client, model: str) -> list[int]:
    """Return the numbers of the model's versions. Raises ModelNotFound."""
    client.get_model(model)
    return [version.number for version in client.list_versions(model)]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("has_model", [False, True], ids=["no model", "no version"])
@pytest.mark.parametrize("version", VERSIONS)
def test_only_some_attributes_create_a_missing_version(
    client: Client, version: str, has_model: bool, place: str
) -> None:
    """Numbers, records and `create` create it; all others raise an error with advice, and create nothing."""
    missing = errors.VersionNotFound if has_model else errors.ModelNotFound
    with _place(place):
        for name, use in USES.items():
            if has_model:
                client.create_model(name)
            model = Model(name, VERSIONS[version])
            if use.creates:
                use.ask(model)
                assert _numbers_of(client, name) == [1], name
                continue
            if use.asks_nothing:
                use.ask(model)
            else:
                with pytest.raises(missing, match=rf"with {re.escape(repr(model))}\.create\(\), or in a run") as caught:
                    use.ask(model)
                assert caught.value.reason == missing.reason
            if has_model:
                assert _numbers_of(client, name) == [], name
            else:
                with pytest.raises(errors.ModelNotFound):
                    _numbers_of(client, name)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("version", ["1.0.5", "1", "latest", "production", "@champion"])
def test_an_existing_version_is_used(client: Client, version: str, place: str) -> None:
    """If model and version exist, every attribute uses that version, and none creates another."""
    with _place(place):
        for name, use in USES.items():
            made = Client()
            made.create_model(name)
            found = made.create_version(name, "1.0.5")
            Model(name, 1).save("facts", {"a": 1}, format="json")
            found.set_stage("production")
            found.set_alias("champion")
            use.ask(Model(name, version))
            assert _numbers_of(client, name) == [1], name


@pytest.mark.parametrize("version", [7, "latest", "staging", "@champion"])
def test_a_missing_reference_is_not_created(client: Client, version: int | str) -> None:
    """For a missing number, stage, alias or `latest`, every attribute raises NotFound."""
    client.create_model("churn")
    for name, use in USES.items():
        if not use.asks_nothing:
            with pytest.raises(errors.NotFound):
                use.ask(Model("churn", version))
            assert _numbers_of(client, "churn") == [], name


def test_reading_a_number_logs_the_version_that_it_creates(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """An empty version without a name is logged as a warning, a named one as info."""
    caplog.set_level(logging.INFO, "tallymark")
    _ = Model("churn").number
    assert [(record.levelname, "churn No.1" in record.getMessage()) for record in caplog.records] == [("WARNING", True)]
    caplog.clear()
    assert [Model("churn", "1.0.5").number, Model("churn", "1.0.5").id] == [
        2,
        "projects/default/models/churn/versions/2",
    ]
    assert [(record.levelname, "No.2 '1.0.5'" in record.getMessage()) for record in caplog.records] == [("INFO", True)]
    caplog.clear()
    with tallymark.run(model=Model("churn")) as run:
        assert Model("churn").number == run.number == 3
    assert not caplog.records


def test_after_a_run_an_object_refers_to_the_version_of_the_run(client: Client) -> None:
    """That is so even if its number was read before the training, which created an empty version."""
    model = Model("side")
    assert model.number == 1

    @pipeline(model=model)
    def training() -> int:
        log_metadata({"auc": 1})
        return model.number

    assert (training(), model.number) == (2, 2)
    model.set_stage("staging")
    assert client.get_version("side@staging").number == 2
    assert dict(model.metadata) == {"auc": 1}
    assert [training(), training(), model.number] == [3, 4, 4]


def test_every_object_that_a_run_used_refers_to_the_version_of_the_run(client: Client) -> None:
    """That includes several objects with the same name and version, whatever they recorded."""
    models = [Model("churn") for _ in range(4)]

    @pipeline(model=models[0])
    def train() -> None:
        for step in range(2):
            models[1].log_metric("loss", 0.5, step=step)
        models[2].log_metadata({"rows": 3})
        models[3].save("table", {"a": 1})

    train()
    assert [model.number for model in models] == [1, 1, 1, 1]
    assert client.get_version("churn").number == 1


def test_models_created_for_one_record_are_garbage_collected(client: Client) -> None:
    """A run may record with a new object for every record."""

    @pipeline(model=Model("churn"))
    def train() -> list[weakref.ref[Model]]:
        made = [Model("churn") for _ in range(3)]
        for step, model in enumerate(made):
            model.log_metric("loss", 0.5, step=step)
        return [weakref.ref(model) for model in made]

    assert [made() for made in train()] == [None, None, None]
    assert [point.step for point in client.list_metrics("churn", "loss")] == [0, 1, 2]


def test_the_last_use_decides_the_version_of_an_object(client: Client) -> None:
    """After versions were created and runs ended in turn, the object refers to the last one, also when pickled."""
    model = Model("side")
    created = model.create(description="by hand", tags=["t"], metadata={"auc": 0.5})
    assert (created.number, created.description, created.tags, dict(created.metadata)) == (
        1,
        "by hand",
        ("t",),
        {"auc": 0.5},
    )
    assert model.number == 1
    with tallymark.run(model=model):
        assert model.create().number == model.create().number == 2
    assert model.number == 2
    assert (model.create().number, model.number) == (3, 3)
    with tallymark.run(model=Model("other")), pytest.raises(errors.VersionNotFound, match="in run"):
        model.info  # noqa: B018 - the access is what raises
    assert pickle.loads(pickle.dumps(model)).number == model.number == 3


def test_a_named_version_is_created_once(client: Client) -> None:
    """`create` with an explicit name returns the existing version unchanged."""
    first = Model("my_model", "1.0.5").create(description="first")
    again = Model("my_model", "1.0.5").create(description="second")
    assert (first.number, again.number, again.description) == (1, 1, "first")


def test_a_moving_reference_is_looked_up_once_outside_runs_and_once_in_each_run(client: Client) -> None:
    """`latest`, a stage or an alias keeps the version of its last lookup."""
    client.create_model("churn")
    client.create_version("churn").set_stage("production")
    model = Model("churn", "production")
    assert model.number == 1
    client.create_version("churn").set_stage("production", force=True)
    assert model.number == 1
    with tallymark.run():
        assert model.number == 2
    assert (model.number, model.stage.value) == (2, "production")


def test_templates_keep_the_values_of_the_last_run(client: Client) -> None:
    """A version template is filled in by the run, and the object keeps the result after it."""
    model = Model("churn", "{kind} {time}")
    with tallymark.run(model=model, substitutions={"kind": "nightly"}) as run:
        assert current_model().version_name.startswith("nightly ")
    assert model.version_name == run.version.name
    assert _numbers_of(client, "churn") == [1]
