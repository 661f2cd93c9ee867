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

OutputOf = Callable[..., str]
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


def test_json_is_protobufs_json_of_the_contract(output_of: OutputOf, everything: Client, registry: Server) -> None:
    """Models, versions, runs and events are printed as protobuf's JSON mapping of their messages."""
    with grpc.insecure_channel(registry.address) as channel:
        models, runs, log = ModelRegistryStub(channel), RunRegistryStub(channel), EventLogStub(channel)
        name = "projects/default/models/leavers"
        model = models.GetModel(model_registry_pb2.GetModelRequest(name=name))
        asked = model_registry_pb2.ListModelVersionsRequest(parent=name, show_deleted=True)
        versions = models.ListModelVersions(asked).model_versions
        run = runs.GetRun(run_registry_pb2.GetRunRequest(name="projects/default/runs/r1"))
        asked_events = event_log_pb2.ListEventsRequest(parent="projects/default", page_size=1000)
        events = log.ListEvents(asked_events).events
    assert json.loads(output_of("model", "get", "leavers", "-o", "json")) == mapped(model)
    assert json.loads(output_of("run", "get", "r1", "-o", "json")) == mapped(run)
    listed = output_of("version", "list", "leavers", "--show-deleted", "-o", "json")
    assert json.loads(listed) == [mapped(version) for version in versions]
    assert json.loads(output_of("events", "-o", "json")) == [mapped(event) for event in events]
    with grpc.insecure_channel(registry.address) as channel:
        models, runs = ModelRegistryStub(channel), RunRegistryStub(channel)
        version = f"{name}/versions/1"
        steps = runs.ListSteps(run_registry_pb2.ListStepsRequest(parent="projects/default/runs/r1")).steps
        artifacts = models.ListArtifacts(artifact_pb2.ListArtifactsRequest(parent=version)).artifacts
        points = models.ListMetricPoints(metric_pb2.ListMetricPointsRequest(parent=version)).points
    assert json.loads(output_of("run", "steps", "r1", "-o", "json")) == [mapped(step) for step in steps]
    assert json.loads(output_of("artifact", "list", "leavers/1", "-o", "json")) == [mapped(each) for each in artifacts]
    assert json.loads(output_of("metadata", "points", "leavers/1", "-o", "json")) == [mapped(point) for point in points]


def test_jsonl_and_yaml_have_the_values_of_json(output_of: OutputOf, everything: Client) -> None:
    """JSON Lines have one object a line, and YAML reads back as the same values in the same order."""
    for command in (["events"], ["version", "list", "leavers"], ["alias", "list", "leavers"], ["run", "list"]):
        expected = json.loads(output_of(*command, "-o", "json"))
        assert [json.loads(line) for line in output_of(*command, "-o", "jsonl").splitlines()] == expected
        assert yaml.safe_load(output_of(*command, "-o", "yaml")) == expected
    one = ["model", "get", "leavers"]
    assert yaml.safe_load(output_of(*one, "-o", "yaml")) == json.loads(output_of(*one, "-o", "json"))
    assert output_of(*one, "-o", "yaml").startswith("name: projects/default/models/leavers\ndescription: who leaves\n")


def test_yaml_quotes_text_that_looks_like_another_type(output_of: OutputOf, client: Client) -> None:
    """Text that YAML 1.1 or 1.2 reads as a number, a boolean or null is quoted."""
    client.create_model("churn")
    texts = ["12e5", "1.0", "0x1f", "0o17", "no", "null", "~", "1_000", "2026-01-31", "", "12:30", "-.5e3"]
    client.create_version("churn", metadata=dict(zip("abcdefghijkl", texts, strict=True)))
    shown = output_of("version", "get", "churn", "-o", "yaml")
    assert re.findall(r"^ +text: '(.*)'$", shown, re.MULTILINE) == texts


def test_name_format_prints_names_for_other_commands(output_of: OutputOf, everything: Client) -> None:
    """`-o name` prints each item's name for another command."""
    assert output_of("model", "list", "-o", "name") == "leavers\n"
    assert output_of("version", "list", "leavers", "-o", "name") == "leavers/2\nleavers/1\n"
    assert output_of("run", "list", "-o", "name") == "r1\n"
    assert output_of("events", "--limit", "2", "-o", "name") == "1\n2\n"
    assert (
        output_of("version", "get", output_of("version", "get", "leavers", "-o", "name").strip(), "-o", "name")
        == "leavers/2\n"
    )


def test_tables_for_programs_are_separated_by_tabs(output_of: OutputOf, everything: Client) -> None:
    """Cells are separated by tabs and contain none; --no-headers omits the titles, wide has more columns."""
    lines = [line.split("\t") for line in output_of("version", "list", "leavers", "--show-deleted").splitlines()]
    assert {len(line) for line in lines} == {7}
    assert lines[0][:4] == ["VERSION", "NAME", "STAGE", "ALIASES"]
    assert lines[1][:4] == ["leavers/3", "final", "deleted", "-"]
    bare = output_of("version", "list", "leavers", "--show-deleted", "--no-headers")
    assert [line.split("\t") for line in bare.splitlines()] == lines[1:]
    wide = [
        line.split("\t")
        for line in output_of("version", "list", "leavers", "--show-deleted", "-o", "wide").splitlines()
    ]
    assert [line[:7] for line in wide] == lines
    metadata = wide[1][wide[0].index("METADATA")]
    assert "number=0.1" in metadata
    assert "text=é\\n\\t" in metadata


def test_an_empty_list_prints_nothing_or_an_empty_array(output_of: OutputOf, client: Client) -> None:
    """An empty list prints no lines as a table, and an empty array or sequence in JSON and YAML."""
    shown = {form: output_of("model", "list", "-o", form) for form in ("table", "json", "jsonl", "yaml", "name")}
    assert shown == {"table": "", "json": "[]\n", "jsonl": "", "yaml": "[]\n", "name": ""}


def test_tables_on_a_terminal_are_aligned_and_coloured(on_terminal: Callable[..., Any], churn: Client) -> None:
    """On a terminal, columns are aligned, even with wide characters, and stages are coloured."""
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


def test_control_characters_are_escaped_in_tables(output_of: OutputOf, client: Client) -> None:
    """Control characters in a description are escaped, so that they do not reach the terminal."""
    client.create_model("churn", description="\x1b[2Jgone\x07\u202e")
    assert "\\x1b[2Jgone\\x07\\u202e" in output_of("model", "get", "churn", "-o", "wide")
    assert "\x1b" not in output_of("model", "get", "churn", "-o", "json")
    assert "\x1b" not in output_of("model", "get", "churn", "-o", "yaml")
