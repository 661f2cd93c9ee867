"""Models over gRPC."""

import grpc
from grpc_calls import PROJECT, Calls, refused

from tallymark.v1 import model_registry_pb2


def test_a_model_is_read_as_it_was_created(calls: Calls) -> None:
    """Every field of a request is returned, and the registry adds the creator, the time and the revision."""
    texts = ("description", "license", "audience", "use_cases", "limitations", "trade_offs", "ethics")
    written = {name: f"the {name}" for name in texts}
    created = calls.create_model("churn", tags=["growth", "eu", "growth"], **written)
    assert created == calls.model("churn")
    assert {name: getattr(created, name) for name in texts} == written
    assert list(created.tags) == ["eu", "growth"]
    assert created.name == f"{PROJECT}/models/churn"
    assert (created.last_number, created.create_revision, created.mod_revision) == (0, 1, 1)
    assert created.creator == "anonymous"
    assert created.create_time == created.update_time
    assert created.etag


def test_a_model_exists_once(calls: Calls) -> None:
    """A second model of the same name is refused, and changes nothing."""
    first = calls.create_model("churn", description="first")
    with refused("MODEL_EXISTS", grpc.StatusCode.ALREADY_EXISTS) as refusal:
        calls.create_model("churn", description="second")
    assert refusal.metadata == {"project": "default", "model": "churn"}
    assert calls.model("churn") == first


def test_a_model_is_found_by_its_exact_name_only(calls: Calls) -> None:
    """Neither a prefix nor another letter case finds a model."""
    calls.create_model("churn2")
    for name in ("churn", "Churn2", "churn22"):
        with refused("MODEL_NOT_FOUND", grpc.StatusCode.NOT_FOUND) as refusal:
            calls.model(name)
        assert refusal.metadata == {"project": "default", "model": name}


def test_models_are_listed_by_name_over_pages(calls: Calls) -> None:
    """Pages hold every model once, in code point order."""
    names = ["b", "a", "Z", "é", "zz", "z"]
    for name in names:
        calls.create_model(name)
    found: list[str] = []
    token = ""
    while True:
        request = model_registry_pb2.ListModelsRequest(parent=PROJECT, page_size=2, page_token=token)
        page = calls.models.ListModels(request)
        assert len(page.models) <= 2
        assert page.revision == len(names)
        found.extend(model.name.rsplit("/", 1)[1] for model in page.models)
        token = page.next_page_token
        if not token:
            break
    assert found == sorted(names)


def test_a_page_token_serves_the_list_that_gave_it(calls: Calls) -> None:
    """A token of another list, or an invented one, is refused."""
    for name in ("a", "b"):
        calls.create_model(name)
    token = calls.models.ListModels(model_registry_pb2.ListModelsRequest(parent=PROJECT, page_size=1)).next_page_token
    for wrong in ("nonsense", "W10", "é", token[:-2], "W1tb" * 10_000):
        with refused("INVALID_PAGE_TOKEN", grpc.StatusCode.INVALID_ARGUMENT):
            calls.models.ListModels(model_registry_pb2.ListModelsRequest(parent=PROJECT, page_token=wrong))
    with refused("INVALID_PAGE_TOKEN", grpc.StatusCode.INVALID_ARGUMENT):
        calls.versions("a", page_token=token)


def test_the_caller_is_recorded_as_actor(calls: Calls) -> None:
    """The creator is the name in the header `tallymark-actor`, in any script."""
    request = model_registry_pb2.CreateModelRequest(parent=PROJECT, model_id="churn")
    created = calls.models.CreateModel(request, metadata=(("tallymark-actor", "Zo%C3%AB@lab"),))
    assert created.creator == "Zoë@lab"


def test_a_dry_run_changes_nothing(calls: Calls) -> None:
    """validate_only returns the model that would be created, and creates no model and no revision."""
    request = model_registry_pb2.CreateModelRequest(
        parent=PROJECT, model_id="churn", validate_only=True, request_id="one"
    )
    assert calls.models.CreateModel(request).name == f"{PROJECT}/models/churn"
    with refused("MODEL_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        calls.model("churn")
    assert calls.create_model("churn", request_id="one").create_revision == 1
