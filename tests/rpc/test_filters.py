"""Filters of lists, in the language of https://aip.dev/160."""

import grpc
import pytest
from databases import rows
from grpc_calls import PROJECT, Calls, refused
from google.protobuf.timestamp_pb2 import Timestamp

from tallymark.v1.artifact_pb2 import ListArtifactsRequest
from tallymark.v1.model_pb2 import STAGE_PRODUCTION, STAGE_STAGING, MetadataValue
from tallymark.v1.model_registry_pb2 import ListModelsRequest, ListModelVersionsRequest
from tallymark.v1.run_registry_pb2 import ListRunsRequest


@pytest.fixture(autouse=True)
def churn(calls: Calls) -> None:
    """Create five versions that differ in everything."""
    calls.create_model("churn", description="who leaves", license="MIT", tags=["growth"])
    calls.create_model("fraud", description="who cheats", tags=["risk", "eu"])
    facts = {"auc": MetadataValue(number=0.9), "fast": MetadataValue(flag=True), "it's": MetadataValue(text='a"b')}
    calls.create_version("churn", "rc-1", tags=["growth"], metadata=facts, description="first try")
    calls.create_version("churn", "rc-2", tags=["growth", "eu"], metadata={"auc": MetadataValue(number=0.95)})
    calls.create_version("churn", "1.0", metadata={"auc": MetadataValue(text="high"), "n": MetadataValue(number=1)})
    data = MetadataValue(uri="s3://bucket/train.csv")
    calls.create_version("churn", metadata={"data": data, "at": MetadataValue(time=Timestamp(seconds=1_700_000_000))})
    calls.start_run("r1")
    calls.ensure("churn", run="r1")
    calls.set_stage("churn", 2, STAGE_PRODUCTION)
    calls.set_stage("churn", 3, STAGE_STAGING)
    calls.set_alias("churn", 2, "champion")


def found(calls: Calls, text: str, page_size: int = 2) -> list[int]:
    """Return the numbers of the versions that the filter lists, over all pages, from the lowest."""
    numbers: list[int] = []
    token = ""
    while True:
        request = ListModelVersionsRequest(
            parent=f"{PROJECT}/models/churn", filter=text, page_size=page_size, page_token=token
        )
        page = calls.models.ListModelVersions(request)
        assert len(page.model_versions) <= page_size
        numbers.extend(version.number for version in page.model_versions)
        token = page.next_page_token
        if not token:
            return sorted(numbers)


FILTERS = {
    "": [1, 2, 3, 4, 5],
    "number > 3": [4, 5],
    "number != 3 number <= 4": [1, 2, 4],
    'stage = "production"': [2],
    "stage != none": [2, 3],
    "stage = production OR stage = staging": [2, 3],
    "NOT stage = production AND number < 4": [1, 3],
    "-stage=production number<4": [1, 3],
    "number < 3 AND stage = production OR tags:growth": [1, 2],
    "(number < 2 AND tags:growth) OR stage = staging": [1, 3],
    "tags:growth": [1, 2],
    "tags:grow": [],
    'tags:"gr*"': [1, 2],
    "aliases:champion": [2],
    "version_name = 1.0": [3],
    'version_name = "rc-*"': [1, 2],
    'version_name != "rc-*"': [3, 4, 5],
    "version_name = 4": [4],
    'version_name = "rc-[12]"': [],
    'description:"first"': [1],
    "description = ''": [2, 3, 4, 5],
    "metadata.auc > 0.9": [2],
    "metadata.auc >= 0.9": [1, 2],
    "metadata.auc = high": [3],
    "metadata:auc": [1, 2, 3],
    "NOT metadata:auc": [4, 5],
    "metadata.fast = true": [1],
    "metadata.fast = false": [],
    "metadata.n = true": [],
    """metadata."it's" = 'a"b'""": [1],
    'metadata.data = "s3://bucket/*"': [4],
    "metadata.data:train": [4],
    "automatic = true": [5],
    'run = "r1"': [5],
    "creator = anonymous": [1, 2, 3, 4, 5],
    'create_time > "2026-01-01T00:00:00Z"': [1, 2, 3, 4, 5],
    'create_time < "2026-01-01T00:00:00+02:00"': [],
    "step = ''": [1, 2, 3, 4, 5],
}


@pytest.mark.parametrize("text", FILTERS)
def test_a_filter_lists_what_it_says(calls: Calls, text: str) -> None:
    """Each kind of field, comparison and connection lists exactly the versions that meet it, over pages."""
    assert found(calls, text) == FILTERS[text]


def test_models_are_filtered_too(calls: Calls) -> None:
    """Models are filtered by name, texts, tags and times."""
    for text, names in (
        ('name = "c*"', ["churn"]),
        ("tags:risk OR license = MIT", ["churn", "fraud"]),
        ('description:"cheats" AND tags:eu', ["fraud"]),
        ("last_number = 0", ["fraud"]),
    ):
        page = calls.models.ListModels(ListModelsRequest(parent=PROJECT, filter=text))
        assert [model.name.rsplit("/", 1)[1] for model in page.models] == names, text


@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ("stage =", 8, "text in quotes"),
        ("foo = 1", 1, "version_name"),
        ("(stage = a", 11, ")"),
        ("stage = a)", 10, "the end"),
        ("number = x", 10, "a number"),
        ("tags = a", 6, ":"),
        ("metadata = 1", 1, "metadata.auc"),
        ("stage.x = 1", 1, "stage: text"),
        ("number > 1 AND", 15, "("),
        ('stage = "open', 9, "text in quotes"),
        ('create_time > "soon"', 15, "a time in quotes"),
        ("automatic = 1", 13, "true or false"),
        ("number < 1 " * 101, 1101, "at most 100"),
        ("stage = prod", 9, "none, staging, production, archived"),
        ('number > 1 AND stage != "nope"', 25, "none, staging, production, archived"),
        ('stage = "p?oduction*"', 9, "none, staging, production, archived"),
        ("stage:live", 7, "none, staging, production, archived"),
        ("auc > 0.9", 1, "metadata.auc for the key auc of its metadata"),
    ],
)
def test_a_bad_filter_says_where_and_what_was_expected(calls: Calls, text: str, position: int, expected: str) -> None:
    """The error for a bad filter has the position, from 1, and the expectation, as metadata and in the message."""
    with refused("INVALID_FILTER", grpc.StatusCode.INVALID_ARGUMENT) as refusal:
        found(calls, text)
    assert refusal.metadata["field"] == "filter"
    assert int(refusal.metadata["position"]) == position, refusal.message
    assert expected in refusal.metadata["expected"]
    assert f"position {position}" in refusal.message


@pytest.mark.sqlite_only
def test_a_word_that_no_run_and_no_artifact_can_have_is_refused(calls: Calls) -> None:
    """A misspelt state, type or role is an error that names the possible ones, and not an empty list."""
    version = f"{PROJECT}/models/churn/versions/1"
    for text, allowed in (
        ("state = nope", "running, succeeded, failed, lost"),
        ("max_depth > 2", "parameters.max_depth"),
    ):
        with refused("INVALID_FILTER", grpc.StatusCode.INVALID_ARGUMENT) as refusal:
            calls.runs.ListRuns(ListRunsRequest(parent=PROJECT, filter=text))
        assert allowed in refusal.metadata["expected"]
    for text, allowed in (("type = file", "data, model, deployment"), ("role:read", "made, used")):
        with refused("INVALID_FILTER", grpc.StatusCode.INVALID_ARGUMENT) as refusal:
            calls.models.ListArtifacts(ListArtifactsRequest(parent=version, filter=text))
        assert allowed in refusal.metadata["expected"]
    assert list(calls.runs.ListRuns(ListRunsRequest(parent=PROJECT, filter="state = lost OR state:fail")).runs) == []
    assert len(calls.runs.ListRuns(ListRunsRequest(parent=PROJECT, filter='state = "run*"')).runs) == 1


@pytest.mark.sqlite_only
def test_an_order_by_a_key_of_metadata_says_how_it_is_written(calls: Calls) -> None:
    """The error for an order by `auc` suggests `metadata.auc`."""
    with refused("INVALID_FILTER", grpc.StatusCode.INVALID_ARGUMENT) as refusal:
        calls.models.ListModelVersions(ListModelVersionsRequest(parent=f"{PROJECT}/models/churn", order_by="auc desc"))
    assert (refusal.metadata["field"], "metadata.auc" in refusal.message) == ("order_by", True)


@pytest.mark.parametrize(
    "text",
    [
        'description = "x\' OR 1=1 --"',
        "metadata.\"x' OR '1'='1\" = 1",
        'version_name = "\'; DROP TABLE versions; --"',
        'tags:"x\') OR 1=1 --"',
        'description:"\\" OR TRUE"',
    ],
)
def test_a_filter_cannot_inject(calls: Calls, database: str, text: str) -> None:
    """Values and keys are parameters of statements: what looks like SQL is text that matches nothing."""
    assert found(calls, text) == []
    assert len(found(calls, "")) == 5
    assert rows(database, "SELECT count(*) FROM versions") == [(5,)]


def test_a_page_token_belongs_to_its_filter(calls: Calls) -> None:
    """A page token is refused with another filter."""
    parent = f"{PROJECT}/models/churn"
    first = calls.models.ListModelVersions(ListModelVersionsRequest(parent=parent, filter="number > 1", page_size=2))
    with refused("INVALID_PAGE_TOKEN", grpc.StatusCode.INVALID_ARGUMENT):
        calls.models.ListModelVersions(ListModelVersionsRequest(parent=parent, page_token=first.next_page_token))


def test_nesting_and_length_have_limits(calls: Calls) -> None:
    """A filter that is too long is refused, and deep nesting does no harm."""
    with refused("VALUE_TOO_LARGE", grpc.StatusCode.INVALID_ARGUMENT):
        found(calls, "number = 1 " * 1000)
    assert found(calls, "(" * 50 + "number = 1" + ")" * 50) == [1]
    for deep in ("(" * 4000 + "number = 1" + ")" * 4000, "(" * 4000):
        with refused("INVALID_FILTER"):
            found(calls, deep)
