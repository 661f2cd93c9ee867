"""What commands print, for people and for programs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
import yaml
from google.protobuf.json_format import MessageToDict

from tallymark import Client, MetricPoint, Uri
from tallymark.testing import Server
from tallymark.v1 import artifact_pb2, event_log_pb2, metric_pb2, model_registry_pb2, run_registry_pb2
from tallymark.v1.event_log_pb2_grpc import EventLogStub
from tallymark.v1.model_registry_pb2_grpc import ModelRegistryStub
from tallymark.v1.run_registry_pb2_grpc import RunRegistryStub

Say = Callable[..., str]
COLOUR = re.compile(r"\x1b\[(\d+)m")


def mapped(message: Any) -> Any:
    return MessageToDict(message, always_print_fields_with_no_presence=True)


@pytest.fixture
def everything(churn: Client) -> Client:
    """A log with events of most kinds, and metadata of every type."""
    metadata = {
        "number": 0.1,
        "whole": 3,
        "exact": 2**53 + 1,
        "nothing": None,
        "inf": math.inf,
        "flag": True,
        "time": datetime(2026, 1, 31, 12, 0, 0, 500_000, tzinfo=UTC),
        "uri": Uri("s3://bucket/x"),
        "list": [1, "a", {"b": False}],
        "text": "é\n\t",
    }
    churn.log_metadata("churn/3", metadata)
    churn.start_run("r1", pipeline="training", host="here")
    churn.finish_run("r1", "failed", error="lost")
    churn.delete_alias("churn", "champion")
    churn.update_version("churn/3", name="final", tags=["x"])
    churn.delete_version("churn/3", reason="a mistake")
    churn.start_step("r1", "s1", name="fit", version="churn/1", parameters={"n": 1})
    churn.finish_step("r1", "s1", "failed", error="lost")
    churn.link_artifact("churn/1", "data", "s3://data", role="used", size=7, run="r1", step="fit")
    churn.unlink_artifact("churn/1", "data")
    churn.link_artifact("churn/1", "model", "s3://model", type="model", format="skops", digest=f"sha256:{'0a' * 32}")
    churn.log_metrics("churn/1", [MetricPoint("loss", step, value) for step, value in enumerate((0.5, math.nan))])
    churn.log_metadata("churn/1", {}, delete_keys=["loss"])
    churn.log_metrics("churn/1", [MetricPoint("auc", 3, 0.5)])
    churn.ensure_version("churn", "1", run="r1")
    churn.update_model("churn", metadata={"owner": "ana"})
    churn.rename_model("churn", "leavers")
    return churn


def test_json_is_that_of_the_contract(say: Say, everything: Client, registry: Server) -> None:
    """Models, versions, runs and events are printed as protobuf prints the messages in which they travel."""
    with grpc.insecure_channel(registry.address) as channel:
        models, runs, log = ModelRegistryStub(channel), RunRegistryStub(channel), EventLogStub(channel)
        name = "projects/default/models/leavers"
        model = models.GetModel(model_registry_pb2.GetModelRequest(name=name))
        asked = model_registry_pb2.ListModelVersionsRequest(parent=name, show_deleted=True)
        versions = models.ListModelVersions(asked).model_versions
        run = runs.GetRun(run_registry_pb2.GetRunRequest(name="projects/default/runs/r1"))
        asked_events = event_log_pb2.ListEventsRequest(parent="projects/default", page_size=1000)
        events = log.ListEvents(asked_events).events
    assert json.loads(say("model", "get", "leavers", "-o", "json")) == mapped(model)
    assert json.loads(say("run", "get", "r1", "-o", "json")) == mapped(run)
    listed = say("version", "list", "leavers", "--show-deleted", "-o", "json")
    assert json.loads(listed) == [mapped(version) for version in versions]
    assert json.loads(say("events", "-o", "json")) == [mapped(event) for event in events]
    with grpc.insecure_channel(registry.address) as channel:
        models, runs = ModelRegistryStub(channel), RunRegistryStub(channel)
        version = f"{name}/versions/1"
        steps = runs.ListSteps(run_registry_pb2.ListStepsRequest(parent="projects/default/runs/r1")).steps
        artifacts = models.ListArtifacts(artifact_pb2.ListArtifactsRequest(parent=version)).artifacts
        points = models.ListMetricPoints(metric_pb2.ListMetricPointsRequest(parent=version)).points
    assert json.loads(say("run", "steps", "r1", "-o", "json")) == [mapped(step) for step in steps]
    assert json.loads(say("artifact", "list", "leavers/1", "-o", "json")) == [mapped(each) for each in artifacts]
    assert json.loads(say("metadata", "points", "leavers/1", "-o", "json")) == [mapped(point) for point in points]


def test_jsonl_and_yaml_say_what_json_says(say: Say, everything: Client) -> None:
    """One object a line, or YAML that reads back as the same values, in the same order."""
    for command in (["events"], ["version", "list", "leavers"], ["alias", "list", "leavers"], ["run", "list"]):
        expected = json.loads(say(*command, "-o", "json"))
        assert [json.loads(line) for line in say(*command, "-o", "jsonl").splitlines()] == expected
        assert yaml.safe_load(say(*command, "-o", "yaml")) == expected
    one = ["model", "get", "leavers"]
    assert yaml.safe_load(say(*one, "-o", "yaml")) == json.loads(say(*one, "-o", "json"))
    assert say(*one, "-o", "yaml").startswith("name: projects/default/models/leavers\ndescription: who leaves\n")


def test_yaml_keeps_text_text(say: Say, client: Client) -> None:
    """What looks like a number, a truth or nothing to a reader of YAML 1.1 or 1.2 is in quotes when it is text."""
    client.create_model("churn")
    texts = ["12e5", "1.0", "0x1f", "0o17", "no", "null", "~", "1_000", "2026-01-31", "", "12:30", "-.5e3"]
    client.create_version("churn", metadata=dict(zip("abcdefghijkl", texts, strict=True)))
    shown = say("version", "get", "churn", "-o", "yaml")
    assert re.findall(r"^ +text: '(.*)'$", shown, re.MULTILINE) == texts


def test_names_are_what_other_commands_take(say: Say, everything: Client) -> None:
    """`-o name` prints what to call each by in another command."""
    assert say("model", "list", "-o", "name") == "leavers\n"
    assert say("version", "list", "leavers", "-o", "name") == "leavers/2\nleavers/1\n"
    assert say("run", "list", "-o", "name") == "r1\n"
    assert say("events", "--limit", "2", "-o", "name") == "1\n2\n"
    assert say("version", "get", say("version", "get", "leavers", "-o", "name").strip(), "-o", "name") == "leavers/2\n"


def test_a_table_for_a_program(say: Say, everything: Client) -> None:
    """Cells have a tab between them and none inside; --no-headers leaves the titles out, wide has more columns."""
    lines = [line.split("\t") for line in say("version", "list", "leavers", "--show-deleted").splitlines()]
    assert {len(line) for line in lines} == {7}
    assert lines[0][:4] == ["VERSION", "NAME", "STAGE", "ALIASES"]
    assert lines[1][:4] == ["leavers/3", "final", "deleted", "-"]
    bare = say("version", "list", "leavers", "--show-deleted", "--no-headers")
    assert [line.split("\t") for line in bare.splitlines()] == lines[1:]
    wide = [line.split("\t") for line in say("version", "list", "leavers", "--show-deleted", "-o", "wide").splitlines()]
    assert [line[:7] for line in wide] == lines
    metadata = wide[1][wide[0].index("METADATA")]
    assert "number=0.1" in metadata
    assert "text=é\\n\\t" in metadata


def test_an_empty_list(say: Say, client: Client) -> None:
    """Nothing is printed for nothing, but an empty array or sequence where one is due."""
    shown = {form: say("model", "list", "-o", form) for form in ("table", "json", "jsonl", "yaml", "name")}
    assert shown == {"table": "", "json": "[]\n", "jsonl": "", "yaml": "[]\n", "name": ""}


def test_a_table_on_a_terminal(on_terminal: Callable[..., Any], churn: Client) -> None:
    """On a terminal columns are aligned, for wide characters too, and stages have colours."""
    churn.create_model("顧客", description="wide")
    code, shown = on_terminal("version", "list", "churn")
    assert code == 0
    assert set(COLOUR.findall(shown)) == {"32", "90", "0"}
    lines = COLOUR.sub("", shown).splitlines()
    assert {line.index(stage) for line, stage in zip(lines[1:], ("none", "production", "archived"), strict=True)} == {
        lines[0].index("STAGE")
    }
    columns = ("--columns", "model,last", "--no-headers")
    first, second = COLOUR.sub("", on_terminal("model", "list", *columns)[1]).splitlines()
    assert (first.index("3"), second.index("0")) == (7, 5)


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_colours_can_be_switched_off(
    on_terminal: Callable[..., Any], churn: Client, environment: dict[str, str]
) -> None:
    """NO_COLOR, or a terminal that has none, leaves colours out."""
    code, shown = on_terminal("version", "list", "churn", **environment)
    assert (code, "\x1b" in shown) == (0, False)
    assert "production" in shown


def test_what_steers_a_terminal_is_not_printed(say: Say, client: Client) -> None:
    """Whoever writes a description has no say over the terminal of whoever reads it."""
    client.create_model("churn", description="\x1b[2Jgone\x07\u202e")
    assert "\\x1b[2Jgone\\x07\\u202e" in say("model", "get", "churn", "-o", "wide")
    assert "\x1b" not in say("model", "get", "churn", "-o", "json")
    assert "\x1b" not in say("model", "get", "churn", "-o", "yaml")
