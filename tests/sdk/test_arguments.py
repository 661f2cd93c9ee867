"""Arguments of wrong types are refused before any request, with one sentence that names the argument."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy
import pytest

from tallymark import AsyncClient, Client, Model, NewVersion, configure, errors, log_metadata, pipeline, settings, step
from tallymark.testing import Server

CLOSED = "127.0.0.1:1"
SURROGATE = "a\ud800"
# For each type that a method accepts, a value of a wrong type, and a part of the error.
WRONG = {
    "str": (5, "takes text, not an int"),
    "str | None": (b"a", "takes text, not a bytes"),
    "bool": (None, "takes True or False, not None"),
    "int": ("1", "takes a whole number, not a str"),
    "int | None": (1.5, "takes a whole number, not a float"),
    "Sequence[str]": ("abc", "takes a list of texts, such as ['a', 'b'], not a str"),
    "Sequence[str] | None": (5, "takes a list of texts, such as ['a', 'b'], not an int"),
    "Sequence[NewVersion]": (["a"], "takes a list of NewVersion, not one with a str"),
    "Sequence[MetricPoint]": ([("loss", 1, 0.5)], "takes a list of MetricPoint, not one with a tuple"),
    "Mapping[str, object]": ("text", "takes a mapping, such as {'auc': 0.9}, not a str"),
    "Sequence[RecordingProblem]": (["loss"], "takes a list of RecordingProblem, not one with a str"),
    "datetime | None": ("today", "takes a datetime, not a str"),
    "timedelta | None": (90, "takes a timedelta, not an int"),
    "Checkpoint | None": ("r41", "takes a Checkpoint, not a str"),
    "Callable[[Unavailable], object] | None": ("text", "takes a function, not a str"),
    "Mapping[str, object] | None": ([1], "takes a mapping, such as {'auc': 0.9}, not a list"),
}


def arguments() -> list[tuple[str, str, str]]:
    """Every argument of every method of the client: method, argument, annotation."""
    found = {name: member for kind in reversed(Client.__mro__) for name, member in vars(kind).items()}
    methods = {name: method for name, method in found.items() if callable(method) and not name.startswith("_")}
    return [
        (name, parameter.name, str(parameter.annotation))
        for name, method in methods.items()
        for parameter in inspect.signature(method).parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_POSITIONAL
    ]


ARGUMENTS = [found for found in arguments() if found[2] in WRONG]


def call(client: Any, method: str, argument: str, value: Any) -> Any:
    """Call the method with this value for the argument, and valid values for the other required ones."""
    parameters = list(inspect.signature(getattr(client, method)).parameters.values())
    given = {each.name: "churn" for each in parameters if each.default is inspect.Parameter.empty}
    given.pop(argument, None)
    return getattr(client, method)(**{argument: value}, **given)


def test_the_arguments_of_every_method_are_known() -> None:
    """Each type that a method accepts is checked, or listed as checked elsewhere."""
    elsewhere = {"Call[T]", *(f"{kind} | str" for kind in ("Stage", "RunState", "ArtifactType", "ArtifactRole"))}
    elsewhere.add("int | datetime | None")
    known = WRONG.keys() | elsewhere | {str(inspect.Parameter.empty)}
    assert {annotation for _, _, annotation in arguments()} <= known
    assert len(ARGUMENTS) > 50


@pytest.mark.parametrize(("method", "argument", "annotation"), ARGUMENTS, ids=str)
async def test_a_value_of_the_wrong_type_is_refused(method: str, argument: str, annotation: str) -> None:
    """Both clients name the method, the argument, the expected type and the given value, without a request."""
    value, said = WRONG[annotation]
    expected = f"{method}({argument}=...) {said}"
    with pytest.raises(errors.InvalidArgument) as caught:
        call(Client(CLOSED), method, argument, value)
    assert str(caught.value) == expected

    async def ask() -> None:
        await call(AsyncClient(CLOSED), method, argument, value)

    with pytest.raises(errors.InvalidArgument) as caught:
        await ask()
    assert str(caught.value) == expected


@pytest.mark.parametrize("method", [method for method, argument, kind in ARGUMENTS if argument == "name"])
def test_text_that_cannot_be_encoded_is_refused(method: str) -> None:
    """A lone surrogate, which UTF-8 cannot encode, is reported with its position."""
    with pytest.raises(errors.InvalidArgument, match=r"name=\.\.\.\) has a lone surrogate, '\\ud800' at position 1"):
        call(Client(CLOSED), method, "name", SURROGATE)


def test_text_that_cannot_be_encoded_is_refused_everywhere() -> None:
    """Names, tags, metadata and settings are refused alike."""
    client = Client(CLOSED)
    for act in (
        lambda: Model(SURROGATE),
        lambda: Model("churn", SURROGATE),
        lambda: Model("churn", description=SURROGATE),
        lambda: Model("churn", tags=[SURROGATE]),
        lambda: step(name=SURROGATE),
        lambda: pipeline(substitutions={"a": SURROGATE}),
        lambda: client.log_metadata("churn", {SURROGATE: 1}),
        lambda: client.log_metadata("churn", {"a": [{"b": SURROGATE}]}),
        lambda: client.create_version("churn", tags=["a", SURROGATE]),
        lambda: client.create_versions("churn", [NewVersion(), NewVersion(SURROGATE)]),
        lambda: Client(actor=SURROGATE),
        lambda: configure(project=SURROGATE),
    ):
        with pytest.raises(errors.InvalidArgument, match="lone surrogate"):
            act()
    assert "project" not in settings._arguments


def test_a_wrong_field_of_a_new_version_is_named() -> None:
    """The versions of a batch are checked like a single one."""
    anything: Any = NewVersion
    for wrong in ({"name": 5}, {"tags": "abc"}, {"metadata": "text"}):
        (field,) = wrong
        with pytest.raises(errors.InvalidArgument, match=rf"NewVersion\({field}=...\) takes"):
            Client(CLOSED).create_versions("churn", [anything(**wrong)])


def test_wrong_arguments_of_decorators_and_models_are_refused() -> None:
    """A name instead of a model, and arguments of wrong types, are refused when the decorator or model is created."""
    anything: Any = pipeline
    with pytest.raises(errors.InvalidArgument, match=r"@pipeline\(model=Model\('churn'\)\)"):
        anything("churn")
    with pytest.raises(errors.InvalidArgument, match=r"@step\(model=...\) takes a Model, not an int"):
        step(model=5)  # type: ignore[call-overload]  # what the types forbid
    with pytest.raises(
        errors.InvalidArgument, match=r"@pipeline\(substitutions=...\) takes a mapping, such as {'kind'"
    ):
        anything(substitutions="kind=a")
    with pytest.raises(errors.InvalidArgument, match=r"pass model= too"):
        step(substitutions={"kind": "a"})
    with pytest.raises(errors.InvalidArgument, match=r"Model\(tags=...\) takes a list of texts, .* not an int"):
        Model("churn", tags=5)  # type: ignore[arg-type]  # what the types forbid
    with pytest.raises(errors.InvalidArgument, match=r"Model\(name=...\) takes text, not None"):
        Model(None)  # type: ignore[arg-type]  # what the types forbid


def test_equivalent_types_are_accepted(server: Server) -> None:
    """Lists, integers and texts of any library are accepted."""
    with Client(server.address) as client:
        created = client.create_model(numpy.str_("churn"), tags=(tag for tag in ("a", "b")))  # type: ignore[arg-type]  # texts of numpy, and any iterable
        assert created.tags == ("a", "b")
        version = client.create_version("churn", tags={"x"})  # type: ignore[arg-type]  # any iterable
        assert version.tags == ("x",)
        client.set_alias("churn", "champion", expected_number=numpy.int64(0))  # type: ignore[arg-type]  # numbers of numpy
        with pytest.raises(errors.InvalidArgument, match="below 2147483648"):
            client.set_alias("churn", "champion", expected_number=2**31)
        with pytest.raises(errors.InvalidField, match="a run finishes as succeeded or failed"):
            client.finish_run("r1", "done")
        with pytest.raises(TypeError, match="positional argument"):
            client.get_model("churn", "fraud")  # type: ignore[call-arg, arg-type]  # what the types forbid


def test_metadata_must_be_a_mapping(registry_env: Server) -> None:
    """Model.log_metadata names the expected type, and the path of a value without a recordable form; steps continue."""
    anything: Any = Model("churn", version="1.0").log_metadata

    @step(model=Model("churn"))
    def train(metadata: Any) -> None:
        log_metadata(metadata)

    for metadata, said in (
        ("text", "takes a mapping"),
        ({"a": object()}, r"metadata\['a'\]: an object has no form"),
    ):
        train(metadata)
        with pytest.raises(errors.InvalidArgument, match=said):
            anything(metadata)


def test_a_refusal_names_the_argument_of_the_sdk(registry_env: Server) -> None:
    """A refusal by the service names the SDK's argument; the contract's field is in the error's metadata."""
    client = Client()
    client.create_model("churn")
    client.create_version("churn")
    refused: dict[str, Callable[[], Any]] = {
        "name 'a/b' contains '/'": lambda: Model("a/b").number,
        "version 'b=c' contains '='": pipeline(model=Model("a", "b=c"))(lambda: None),
        "tags is ''": lambda: Model("a", tags=[""]).number,
        "name 'c/d'": lambda: client.create_model("c/d"),
        "name 'd/e'": lambda: client.create_version("churn", "d/e"),
        "description has 100,000 bytes": lambda: client.create_version("churn", description="a" * 100_000),
        "name 'e/f'": lambda: client.update_version("churn/1", name="e/f"),
        "new_name 'a/b'": lambda: client.rename_model("churn", "a/b"),
        "run is 'a/b'": lambda: client.start_run("a/b"),
        "versions is '0 versions'": lambda: client.create_versions("churn", []),
    }
    for begins, act in refused.items():
        with pytest.raises(errors.InvalidArgument) as caught:
            act()
        assert str(caught.value).startswith(begins)
        assert caught.value.metadata["field"]


def test_a_stale_etag_names_what_was_changed(server: Server) -> None:
    """The refusal names the model, or the number of the version, that somebody else has changed."""
    with Client(server.address) as client:
        client.create_model("churn")
        client.create_version("churn")
        with pytest.raises(errors.EtagMismatch, match="^model 'churn' was changed"):
            client.update_model("churn", description="d", etag="stale")
        with pytest.raises(errors.EtagMismatch, match="^number 1 of model 'churn' was changed"):
            client.update_version("churn/1", description="d", etag="stale")
