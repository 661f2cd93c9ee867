"""What each command does: what the client would have done."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from cli.tables import column, rows
from tallymark import Client, Uri
from tallymark.settings import Settings

OutputOf = Callable[..., str]


def test_models_are_created_changed_and_renamed(output_of: OutputOf, client: Client) -> None:
    """Models are created, read, changed and renamed, with every text that people write."""
    texts = ("description", "license", "audience", "use-cases", "limitations", "trade-offs", "ethics")
    options = [word for text in texts for word in (f"--{text}", f"the {text}")]
    output_of("model", "create", "churn", *options, "--tag", "b", "--tag", "a")
    found = client.get_model("churn")
    assert [getattr(found, text.replace("-", "_")) for text in texts] == [f"the {text}" for text in texts]
    assert found.tags == ("a", "b")
    output_of("model", "update", "churn", "--license", "", "--ethics", "none", "--if-etag", found.etag)
    changed = client.get_model("churn")
    assert (changed.license, changed.ethics, changed.audience) == ("", "none", "the audience")
    assert column(output_of("model", "rename", "churn", "leavers"), "MODEL") == ["leavers"]
    assert column(output_of("model", "get", "leavers", "-o", "wide"), "LAST") == ["0"]
    assert column(output_of("model", "list"), "MODEL") == ["leavers"]


def test_lists_are_filtered_limited_and_show_deleted_on_request(output_of: OutputOf, churn: Client) -> None:
    """Lists are filtered by the service, limited, and have deleted items only with --show-deleted."""
    churn.create_model("fraud")
    churn.delete_version("churn/3")
    assert column(output_of("model", "list", "--filter", "tags:growth"), "MODEL") == ["churn"]
    assert column(output_of("model", "list", "--limit", "1"), "MODEL") == ["churn"]
    assert column(output_of("version", "list", "churn"), "VERSION") == ["churn/2", "churn/1"]
    assert column(output_of("version", "list", "churn", "--filter", "metadata.auc > 0.85"), "VERSION") == ["churn/2"]
    deleted = rows(output_of("version", "list", "churn", "--show-deleted", "--limit", "1"))
    assert [(row["VERSION"], row["STAGE"]) for row in deleted] == [("churn/3", "deleted")]
    assert column(output_of("version", "get", "churn/3", "--show-deleted"), "VERSION") == ["churn/3"]
    churn.delete_model("fraud")
    assert column(output_of("model", "list", "--show-deleted"), "MODEL") == ["churn", "fraud"]
    assert column(output_of("model", "get", "fraud", "--show-deleted"), "MODEL") == ["fraud"]


def test_a_model_row_shows_latest_stages_and_aliases(output_of: OutputOf, churn: Client) -> None:
    """A model's row and its JSON have its newest version, production, staging and aliases."""
    churn.set_stage("churn/3", "staging")
    churn.set_alias("churn/1", "old")
    for command in (["model", "list"], ["model", "get", "churn"]):
        (row,) = rows(output_of(*command))
        places = [row[title] for title in ("LATEST", "PRODUCTION", "STAGING", "ALIASES")]
        assert places == ["3", "2", "3", "champion=2,old=1"]
    found = json.loads(output_of("model", "list", "-o", "json"))[0]
    assert (found["latestNumber"], found["productionNumber"], found["stagingNumber"]) == (3, 2, 3)
    assert found["aliases"] == {"champion": 2, "old": 1}


def test_a_project_is_created_and_listed(output_of: OutputOf, run: Any, client: Client) -> None:
    """A project is created while the service runs, is listed, and has models of its own."""
    output_of("project", "create", "lab")
    assert column(output_of("project", "list"), "PROJECT") == ["default", "lab"]
    assert run("--project", "lab", "model", "create", "churn").exit_code == 0
    assert list(client.list_models()) == []
    assert json.loads(output_of("project", "list", "-o", "json"))[1]["name"] == "projects/lab"
    again = run("project", "create", "lab")
    assert (again.exit_code, "lab" in again.stderr) == (5, True)


@pytest.mark.parametrize(
    ("reference", "number"),
    [
        ("churn", 3),
        ("churn/1", 1),
        ("churn/latest", 3),
        ("churn@production", 2),
        ("churn@champion", 2),
        ("churn==1.0.5", 1),
        ("projects/default/models/churn/versions/=rc", 3),
    ],
)
def test_versions_are_named_as_in_python(output_of: OutputOf, churn: Client, reference: str, number: int) -> None:
    """A reference means the same as in Python."""
    assert output_of("version", "get", reference, "-o", "name") == f"churn/{number}\n"


def test_versions_are_created_changed_deleted_and_restored(output_of: OutputOf, churn: Client) -> None:
    """Versions are created with all their fields, changed, deleted and restored."""
    options = ["--name", "2.0", "--description", "new", "--tag", "t", "--metadata", "auc=0.91", "--metadata", "x=y"]
    assert output_of("version", "create", "churn", *options, "-o", "name") == "churn/4\n"
    made = churn.get_version("churn/4")
    assert (made.name, made.description, made.tags) == ("2.0", "new", ("t",))
    assert made.metadata == {"auc": 0.91, "x": "y"}
    output_of("version", "update", "churn==2.0", "--name", "2.1", "--description", "", "--if-etag", made.etag)
    changed = churn.get_version("churn/4")
    assert (changed.name, changed.description, changed.tags) == ("2.1", "", ("t",))
    output_of("version", "delete", "churn==2.1", "--reason", "a mistake", "--yes")
    assert churn.get_version("churn").number == 3
    output_of("version", "undelete", "churn==2.1", "--reason", "none after all")
    assert churn.get_version("churn").number == 4
    assert [event.reason for event in churn.list_events()][-2:] == ["a mistake", "none after all"]


def test_a_model_is_deleted_restored_and_purged(output_of: OutputOf, churn: Client) -> None:
    """With --yes there is no question; with --force a version in production does not prevent the deletion."""
    output_of("model", "delete", "churn", "--force", "--yes", "--reason", "old")
    output_of("model", "undelete", "churn")
    output_of("model", "delete", "churn", "--force", "--yes")
    output_of("model", "purge", "churn", "--yes", "--reason", "for good")
    assert list(churn.list_models(show_deleted=True)) == []
    kinds = [(event.kind, event.reason) for event in churn.list_events() if event.kind.startswith("model_")]
    assert kinds[1:] == [
        ("model_deleted", "old"),
        ("model_undeleted", ""),
        ("model_deleted", ""),
        ("model_purged", "for good"),
    ]


def test_a_dry_run_prints_the_result_and_changes_nothing(output_of: OutputOf, run: Any, churn: Client) -> None:
    """The output is the result of the change, standard error has a notice, and the log does not grow."""
    before = churn.newest_revision()
    for command, cell in {
        ("model", "create", "fraud"): "fraud",
        ("model", "update", "churn", "--description", "x"): "churn",
        ("version", "create", "churn"): "churn/4",
        ("version", "update", "churn/1", "--name", "x"): "churn/1",
        ("version", "promote", "churn/3", "--force"): "churn/3",
        ("version", "rollback", "churn"): "churn/1",
    }.items():
        done = run(*command, "--dry-run", "-o", "name")
        assert (done.exit_code, done.stdout) == (0, f"{cell}\n")
        assert "nothing was changed" in done.stderr
    assert churn.newest_revision() == before


def test_promote_moves_a_version_to_a_stage(output_of: OutputOf, churn: Client) -> None:
    """The version that the reference means is moved with a reason, and with --force it replaces the holder."""
    etag = churn.get_version("churn/3").etag
    output_of("version", "promote", "churn==rc", "--stage", "staging", "--reason", "try it", "--if-etag", etag, "--yes")
    assert churn.get_version("churn@staging").number == 3
    output_of("version", "promote", "churn@staging", "--force", "--yes")
    assert [churn.get_version(f"churn/{number}").stage for number in (2, 3)] == ["archived", "production"]
    assert [event.reason for event in churn.list_events() if event.kind == "stage_changed"][-3] == "try it"


def test_promote_needs_force_failed_for_a_failed_run(run: Any, churn: Client) -> None:
    """The error names the option, the option needs a reason, and the log has the reason."""
    churn.start_run("r1")
    churn.ensure_version("churn", run="r1")
    for state in ("running", "failed"):
        if state == "failed":
            churn.finish_run("r1", "failed", error="out of memory")
        refused = run("version", "promote", "churn/4", "--stage", "staging", "--yes")
        assert (refused.exit_code, state in refused.stderr) == (6, True)
        assert "repeat with --force-failed and --reason to promote" in refused.stderr
    without = run("version", "promote", "churn/4", "--stage", "staging", "--force-failed", "--yes")
    assert (without.exit_code, "--reason" in without.stderr) == (2, True)
    given = ("--force-failed", "--reason", "its last epoch is fine", "--yes")
    assert run("version", "promote", "churn/4", "--stage", "staging", *given).exit_code == 0
    assert (churn.get_version("churn@staging").number, [*churn.list_events()][-1].reason) == (4, given[2])


def test_a_version_shows_how_its_run_ended(output_of: OutputOf, run: Any, churn: Client) -> None:
    """The state of its run is in lists, in filters, and in the history of the version."""
    churn.start_run("r1")
    churn.ensure_version("churn", run="r1")
    assert column(output_of("version", "list", "churn"), "RUN_STATE") == ["running", "-", "-", "-"]
    churn.finish_run("r1", "failed", error="out of memory")
    assert column(output_of("version", "list", "churn", "--filter", "run_state = failed"), "VERSION") == ["churn/4"]
    assert column(output_of("version", "list", "churn", "--filter", 'run_state = ""'), "VERSION")[0] == "churn/3"
    assert run("version", "list", "churn", "--filter", "run_state = broken").exit_code == 2
    assert rows(output_of("version", "history", "churn/4"))[0]["CHANGE"] == "run failed"


def test_rollback_restores_the_previous_production_version(run: Any, churn: Client) -> None:
    """The previous holder is restored, even if the model was renamed, and a second rollback undoes the first."""
    churn.set_stage("churn/3", "production", force=True)
    churn.rename_model("churn", "leavers")
    done = run("version", "rollback", "leavers", "--yes", "-o", "name")
    assert (done.stdout, done.stderr) == ("leavers/2\n", "production: from leavers/3 to leavers/2\n")
    assert [event.reason for event in churn.list_events()][-1] == "rollback from 3"
    assert run("version", "rollback", "leavers", "--yes", "-o", "name").stdout == "leavers/3\n"


def test_rollback_without_an_earlier_version_is_refused(run: Any, client: Client) -> None:
    """If no earlier version was in production, nothing is changed and the error says what to do."""
    client.create_model("churn")
    client.create_version("churn")
    assert run("version", "rollback", "churn", "--yes").exit_code == 4
    client.set_stage("churn/1", "production")
    done = run("version", "rollback", "churn", "--yes")
    assert (done.exit_code, done.stdout) == (4, "")
    assert "tallymark version promote churn/NUMBER" in done.stderr


def test_rollback_without_a_version_in_production(run: Any, churn: Client) -> None:
    """If production is empty, the version that was in production last is restored."""
    churn.set_stage("churn@production", "none")
    done = run("version", "rollback", "churn", "--yes", "-o", "name")
    assert (done.stdout, done.stderr) == ("churn/2\n", "production: from none to churn/2\n")


def test_aliases_are_set_unset_and_listed(output_of: OutputOf, churn: Client) -> None:
    """Aliases are set and unset only if they point at the expected version, and listed by name."""
    output_of("alias", "set", "churn==1.0.5", "best", "--if-number", "0", "--reason", "why not")
    assert [tuple(row.values()) for row in rows(output_of("alias", "list", "churn"))] == [
        ("best", "churn/1", "archived"),
        ("champion", "churn/2", "production"),
    ]
    output_of("alias", "set", "churn", "champion")
    assert churn.get_version("churn@champion").number == 3
    assert output_of("alias", "unset", "churn", "best", "--if-number", "1", "-o", "name") == "churn/1\n"
    assert column(output_of("alias", "list", "churn"), "ALIAS") == ["champion"]


def test_tags_are_set_and_unset(output_of: OutputOf, churn: Client) -> None:
    """The name of a model means the model, every other reference a version; other tags are kept."""
    output_of("tag", "set", "churn", "b", "a", "growth")
    output_of("tag", "set", "churn/latest", "x", "y")
    output_of("tag", "set", "churn@champion", "z")
    output_of("tag", "unset", "churn", "a", "never-there")
    output_of("tag", "unset", "churn==rc", "y")
    assert churn.get_model("churn").tags == ("b", "growth")
    assert [churn.get_version(f"churn/{number}").tags for number in (1, 2, 3)] == [(), ("z",), ("x",)]


def test_metadata_is_typed(output_of: OutputOf, churn: Client) -> None:
    """A value has the type that it looks like, or that of the option."""
    plain = {"i=3": 3, "f=-0.5e3": -500, "t=true": True, "w=True": "True", "v=1.0.5": "1.0.5", "n=NaN": "NaN"}
    plain |= {
        "e=": "",
        "s=a=b c": "a=b c",
        "z=null": "null",
        "l=[1]": "[1]",
        "h=1e999": "1e999",
        f"d={'9' * 400}": "9" * 400,
        "q=007": "007",
    }
    special = {
        "--text": ("commit=12e5", "12e5"),
        "--json": ('nested={"a": [1, "x", false]}', {"a": [1, "x", False]}),
        "--uri": ("data=s3://bucket/x", Uri("s3://bucket/x")),
        "--time": ("trained=2026-01-31T12:00:00", datetime(2026, 1, 31, 12, tzinfo=UTC)),
    }
    options = [word for name, (pair, _) in special.items() for word in (name, pair)]
    output_of("metadata", "set", "churn/3", *plain, *options)
    expected = {pair.partition("=")[0]: value for pair, value in (*plain.items(), *special.values())}
    found = churn.get_version("churn/3").metadata
    assert found == expected
    assert {key: type(value) for key, value in found.items()} | {"i": int, "f": int} == {
        key: type(value) for key, value in expected.items()
    }
    output_of("metadata", "unset", "churn/3", *(expected.keys() - {"i"}), "never-there")
    assert churn.get_version("churn/3").metadata == {"i": 3}


def test_runs_are_listed_and_read(output_of: OutputOf, client: Client) -> None:
    """Runs are listed, the last started first, and printed by id."""
    client.start_run("r1", pipeline="training", host="here")
    client.finish_run("r1", "failed", error="lost")
    client.start_run("r2")
    assert column(output_of("run", "list"), "RUN") == ["r2", "r1"]
    assert column(output_of("run", "list", "--limit", "1"), "STATE") == ["running"]
    (found,) = rows(output_of("run", "get", "r1", "-o", "wide"))
    assert [found[title] for title in ("PIPELINE", "STATE", "HOST", "ERROR")] == ["training", "failed", "here", "lost"]


def test_events_prints_the_log_in_order(output_of: OutputOf, churn: Client) -> None:
    """The log is printed in order, from the first event or after a revision, up to the limit."""
    told = rows(output_of("events"))
    assert [int(row["REVISION"]) for row in told] == list(range(1, churn.newest_revision() + 1))
    assert column(output_of("events", "--since", "4", "--limit", "3"), "REVISION") == ["5", "6", "7"]
    changes = [(row["KIND"], row["ABOUT"], row["CHANGE"], row["REASON"]) for row in told]
    assert ("stage_changed", "churn/2", "none -> production", "better") in changes
    assert ("stage_changed", "churn/1", "production -> archived", "better") in changes
    assert ("alias_set", "churn/2", "champion: new -> 2", "-") in changes


def test_history_has_all_events_of_a_resource(output_of: OutputOf, churn: Client) -> None:
    """The history of a model or a version has all of its events, under every name it had, and no others."""
    churn.create_model("fraud")
    churn.create_version("fraud")
    churn.rename_model("churn", "leavers")
    churn.create_model("churn")
    churn.set_alias("leavers/3", "next")
    kinds = column(output_of("model", "history", "leavers"), "KIND")
    assert kinds[-1] == "model_created"
    assert kinds[:2] == ["alias_set", "model_renamed"]
    assert set(column(output_of("model", "history", "leavers"), "ABOUT")) & {"fraud", "fraud/1"} == set()
    assert column(output_of("model", "history", "churn"), "KIND") == ["model_created"]
    assert column(output_of("version", "history", "leavers/3"), "KIND") == ["alias_set", "version_created"]
    assert column(output_of("version", "history", "leavers==1.0.5", "--limit", "2"), "CHANGE") == [
        "production -> archived",
        "none -> production",
    ]


def test_compare_shows_differing_fields(output_of: OutputOf, churn: Client) -> None:
    """Two versions are compared field by field, metadata included; equal fields are shown only with --all."""
    found = {
        row["FIELD"]: (row["FIRST"], row["SECOND"])
        for row in rows(output_of("version", "compare", "churn/1", "churn/2"))
    }
    assert found["version"] == ("churn/1", "churn/2")
    assert found["stage"] == ("archived", "production")
    assert found["metadata.auc"] == ("0.8", "0.9")
    assert found["metadata.note"] == ("-", "better")
    assert "description" not in found
    everything = column(output_of("version", "compare", "churn/1", "churn/2", "--all"), "FIELD")
    assert {"description", "tags", "creator"} <= set(everything)


def test_doctor_shows_settings_and_whether_the_service_answers(
    run: Any, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each setting is printed with its origin; a service that does not answer decides the exit code."""
    client.create_model("churn")
    monkeypatch.setenv("TALLYMARK_ACTOR", "ana")
    done = run("--timeout", "5", "doctor", "-o", "json")
    told = {row["what"]: (row["value"], row["origin"]) for row in json.loads(done.stdout)}
    assert told.keys() == {*Settings._fields, "token", "service"}
    assert told["url"][1] == "TALLYMARK_URL"
    assert told["project"] == ("default", "default")
    assert told["timeout"] == ("5.0", "--timeout")
    assert told["actor"] == ("ana", "TALLYMARK_ACTOR")
    assert told["service"][0].endswith("at revision 1")
    lost = run("--url", "127.0.0.1:1", "--timeout", "0.2", "doctor")
    assert lost.exit_code == 8
    assert {row["WHAT"]: row["ORIGIN"] for row in rows(lost.stdout)}["url"] == "--url"
    assert rows(lost.stdout)[-1]["VALUE"] == "does not answer"


def test_project_option_chooses_the_project(run: Any, output_of: OutputOf, client: Client) -> None:
    """--project chooses the project whose models are listed."""
    output_of("model", "create", "churn")
    done = run("--project", "elsewhere", "model", "list")
    assert (done.exit_code, done.stdout) == (4, "")
    assert "elsewhere" in done.stderr
