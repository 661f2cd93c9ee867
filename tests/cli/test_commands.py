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

Say = Callable[..., str]


def test_models(say: Say, client: Client) -> None:
    """Models are created, read, changed and renamed, with every text that people write."""
    texts = ("description", "license", "audience", "use-cases", "limitations", "trade-offs", "ethics")
    options = [word for text in texts for word in (f"--{text}", f"the {text}")]
    say("model", "create", "churn", *options, "--tag", "b", "--tag", "a")
    found = client.get_model("churn")
    assert [getattr(found, text.replace("-", "_")) for text in texts] == [f"the {text}" for text in texts]
    assert found.tags == ("a", "b")
    say("model", "update", "churn", "--license", "", "--ethics", "none", "--if-etag", found.etag)
    changed = client.get_model("churn")
    assert (changed.license, changed.ethics, changed.audience) == ("", "none", "the audience")
    assert column(say("model", "rename", "churn", "leavers"), "MODEL") == ["leavers"]
    assert column(say("model", "get", "leavers", "-o", "wide"), "LAST") == ["0"]
    assert column(say("model", "list"), "MODEL") == ["leavers"]


def test_lists(say: Say, churn: Client) -> None:
    """Lists are filtered by the service, cut, and hold what is deleted only if that is asked for."""
    churn.create_model("fraud")
    churn.delete_version("churn/3")
    assert column(say("model", "list", "--filter", "tags:growth"), "MODEL") == ["churn"]
    assert column(say("model", "list", "--limit", "1"), "MODEL") == ["churn"]
    assert column(say("version", "list", "churn"), "VERSION") == ["churn/2", "churn/1"]
    assert column(say("version", "list", "churn", "--filter", "metadata.auc > 0.85"), "VERSION") == ["churn/2"]
    deleted = rows(say("version", "list", "churn", "--show-deleted", "--limit", "1"))
    assert [(row["VERSION"], row["STAGE"]) for row in deleted] == [("churn/3", "deleted")]
    assert column(say("version", "get", "churn/3", "--show-deleted"), "VERSION") == ["churn/3"]
    churn.delete_model("fraud")
    assert column(say("model", "list", "--show-deleted"), "MODEL") == ["churn", "fraud"]
    assert column(say("model", "get", "fraud", "--show-deleted"), "MODEL") == ["fraud"]


def test_a_model_is_listed_with_who_holds_its_places(say: Say, churn: Client) -> None:
    """The newest version, production, staging and the aliases of a model, in its row and in JSON."""
    churn.set_stage("churn/3", "staging")
    churn.set_alias("churn/1", "old")
    for command in (["model", "list"], ["model", "get", "churn"]):
        (row,) = rows(say(*command))
        places = [row[title] for title in ("LATEST", "PRODUCTION", "STAGING", "ALIASES")]
        assert places == ["3", "2", "3", "champion=2,old=1"]
    found = json.loads(say("model", "list", "-o", "json"))[0]
    assert (found["latestNumber"], found["productionNumber"], found["stagingNumber"]) == (3, 2, 3)
    assert found["aliases"] == {"champion": 2, "old": 1}


def test_projects(say: Say, run: Any, client: Client) -> None:
    """A project is created while the service runs, is listed, and has models of its own."""
    say("project", "create", "lab")
    assert column(say("project", "list"), "PROJECT") == ["default", "lab"]
    assert run("--project", "lab", "model", "create", "churn").exit_code == 0
    assert list(client.list_models()) == []
    assert json.loads(say("project", "list", "-o", "json"))[1]["name"] == "projects/lab"
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
def test_versions_are_named_as_in_python(say: Say, churn: Client, reference: str, number: int) -> None:
    """A reference means what it means to the client."""
    assert say("version", "get", reference, "-o", "name") == f"churn/{number}\n"


def test_versions(say: Say, churn: Client) -> None:
    """Versions are created with all they can have, changed, deleted and brought back."""
    options = ["--name", "2.0", "--description", "new", "--tag", "t", "--metadata", "auc=0.91", "--metadata", "x=y"]
    assert say("version", "create", "churn", *options, "-o", "name") == "churn/4\n"
    made = churn.get_version("churn/4")
    assert (made.name, made.description, made.tags) == ("2.0", "new", ("t",))
    assert made.metadata == {"auc": 0.91, "x": "y"}
    say("version", "update", "churn==2.0", "--name", "2.1", "--description", "", "--if-etag", made.etag)
    changed = churn.get_version("churn/4")
    assert (changed.name, changed.description, changed.tags) == ("2.1", "", ("t",))
    say("version", "delete", "churn==2.1", "--reason", "a mistake", "--yes")
    assert churn.get_version("churn").number == 3
    say("version", "undelete", "churn==2.1", "--reason", "none after all")
    assert churn.get_version("churn").number == 4
    assert [event.reason for event in churn.list_events()][-2:] == ["a mistake", "none after all"]


def test_a_model_is_deleted_brought_back_and_purged(say: Say, churn: Client) -> None:
    """With --yes nobody is asked; with --force a version in production does not stand in the way."""
    say("model", "delete", "churn", "--force", "--yes", "--reason", "old")
    say("model", "undelete", "churn")
    say("model", "delete", "churn", "--force", "--yes")
    say("model", "purge", "churn", "--yes", "--reason", "for good")
    assert list(churn.list_models(show_deleted=True)) == []
    kinds = [(event.kind, event.reason) for event in churn.list_events() if event.kind.startswith("model_")]
    assert kinds[1:] == [
        ("model_deleted", "old"),
        ("model_undeleted", ""),
        ("model_deleted", ""),
        ("model_purged", "for good"),
    ]


def test_a_dry_run_tells_and_changes_nothing(say: Say, run: Any, churn: Client) -> None:
    """The answer is what would be, on standard error it says so, and the log does not grow."""
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


def test_promotion(say: Say, churn: Client) -> None:
    """A version is moved to a stage, from the reference's meaning now, with a reason and past the holder by force."""
    etag = churn.get_version("churn/3").etag
    say("version", "promote", "churn==rc", "--stage", "staging", "--reason", "try it", "--if-etag", etag, "--yes")
    assert churn.get_version("churn@staging").number == 3
    say("version", "promote", "churn@staging", "--force", "--yes")
    assert [churn.get_version(f"churn/{number}").stage for number in (2, 3)] == ["archived", "production"]
    assert [event.reason for event in churn.list_events() if event.kind == "stage_changed"][-3] == "try it"


def test_a_version_of_a_failed_run_is_promoted_only_on_purpose(run: Any, churn: Client) -> None:
    """The refusal says which option it takes, the option needs a reason, and the log keeps it."""
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


def test_a_version_shows_how_its_run_ended(say: Say, run: Any, churn: Client) -> None:
    """In lists, in filters, and in the history of the version."""
    churn.start_run("r1")
    churn.ensure_version("churn", run="r1")
    assert column(say("version", "list", "churn"), "RUN_STATE") == ["running", "-", "-", "-"]
    churn.finish_run("r1", "failed", error="out of memory")
    assert column(say("version", "list", "churn", "--filter", "run_state = failed"), "VERSION") == ["churn/4"]
    assert column(say("version", "list", "churn", "--filter", 'run_state = ""'), "VERSION")[0] == "churn/3"
    assert run("version", "list", "churn", "--filter", "run_state = broken").exit_code == 2
    assert rows(say("version", "history", "churn/4"))[0]["CHANGE"] == "run failed"


def test_rollback_brings_back_what_was_in_production(run: Any, churn: Client) -> None:
    """The holder before the present one comes back, under whatever name the model had, and again takes it back."""
    churn.set_stage("churn/3", "production", force=True)
    churn.rename_model("churn", "leavers")
    done = run("version", "rollback", "leavers", "--yes", "-o", "name")
    assert (done.stdout, done.stderr) == ("leavers/2\n", "production: from leavers/3 to leavers/2\n")
    assert [event.reason for event in churn.list_events()][-1] == "rollback from 3"
    assert run("version", "rollback", "leavers", "--yes", "-o", "name").stdout == "leavers/3\n"


def test_rollback_with_nothing_to_go_back_to(run: Any, client: Client) -> None:
    """Without an earlier version in production, or any, nothing is changed and it says what to do."""
    client.create_model("churn")
    client.create_version("churn")
    assert run("version", "rollback", "churn", "--yes").exit_code == 4
    client.set_stage("churn/1", "production")
    done = run("version", "rollback", "churn", "--yes")
    assert (done.exit_code, done.stdout) == (4, "")
    assert "tallymark version promote churn/NUMBER" in done.stderr


def test_rollback_without_a_version_in_production(run: Any, churn: Client) -> None:
    """Where production is empty, the version that was there last comes back."""
    churn.set_stage("churn@production", "none")
    done = run("version", "rollback", "churn", "--yes", "-o", "name")
    assert (done.stdout, done.stderr) == ("churn/2\n", "production: from none to churn/2\n")


def test_aliases(say: Say, churn: Client) -> None:
    """Aliases are set and taken away, only from where they are expected, and listed by name."""
    say("alias", "set", "churn==1.0.5", "best", "--if-number", "0", "--reason", "why not")
    assert [tuple(row.values()) for row in rows(say("alias", "list", "churn"))] == [
        ("best", "churn/1", "archived"),
        ("champion", "churn/2", "production"),
    ]
    say("alias", "set", "churn", "champion")
    assert churn.get_version("churn@champion").number == 3
    assert say("alias", "unset", "churn", "best", "--if-number", "1", "-o", "name") == "churn/1\n"
    assert column(say("alias", "list", "churn"), "ALIAS") == ["champion"]


def test_tags(say: Say, churn: Client) -> None:
    """The model's name alone means the model, every other reference a version; other tags stay."""
    say("tag", "set", "churn", "b", "a", "growth")
    say("tag", "set", "churn/latest", "x", "y")
    say("tag", "set", "churn@champion", "z")
    say("tag", "unset", "churn", "a", "never-there")
    say("tag", "unset", "churn==rc", "y")
    assert churn.get_model("churn").tags == ("b", "growth")
    assert [churn.get_version(f"churn/{number}").tags for number in (1, 2, 3)] == [(), ("z",), ("x",)]


def test_metadata_is_typed(say: Say, churn: Client) -> None:
    """A value is what it looks like, or what the option says that it is."""
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
    say("metadata", "set", "churn/3", *plain, *options)
    expected = {pair.partition("=")[0]: value for pair, value in (*plain.items(), *special.values())}
    found = churn.get_version("churn/3").metadata
    assert found == expected
    assert {key: type(value) for key, value in found.items()} | {"i": int, "f": int} == {
        key: type(value) for key, value in expected.items()
    }
    say("metadata", "unset", "churn/3", *(expected.keys() - {"i"}), "never-there")
    assert churn.get_version("churn/3").metadata == {"i": 3}


def test_runs(say: Say, client: Client) -> None:
    """Runs are listed, the last started first, and read."""
    client.start_run("r1", pipeline="training", host="here")
    client.finish_run("r1", "failed", error="lost")
    client.start_run("r2")
    assert column(say("run", "list"), "RUN") == ["r2", "r1"]
    assert column(say("run", "list", "--limit", "1"), "STATE") == ["running"]
    (found,) = rows(say("run", "get", "r1", "-o", "wide"))
    assert [found[title] for title in ("PIPELINE", "STATE", "HOST", "ERROR")] == ["training", "failed", "here", "lost"]


def test_events(say: Say, churn: Client) -> None:
    """The log is told in order, from the first event or after a revision, and up to a number."""
    told = rows(say("events"))
    assert [int(row["REVISION"]) for row in told] == list(range(1, churn.newest_revision() + 1))
    assert column(say("events", "--since", "4", "--limit", "3"), "REVISION") == ["5", "6", "7"]
    changes = [(row["KIND"], row["ABOUT"], row["CHANGE"], row["REASON"]) for row in told]
    assert ("stage_changed", "churn/2", "none -> production", "better") in changes
    assert ("stage_changed", "churn/1", "production -> archived", "better") in changes
    assert ("alias_set", "churn/2", "champion: new -> 2", "-") in changes


def test_history(say: Say, churn: Client) -> None:
    """The history of a model or a version is all that happened to it, under every name it had, and nothing else."""
    churn.create_model("fraud")
    churn.create_version("fraud")
    churn.rename_model("churn", "leavers")
    churn.create_model("churn")
    churn.set_alias("leavers/3", "next")
    kinds = column(say("model", "history", "leavers"), "KIND")
    assert kinds[-1] == "model_created"
    assert kinds[:2] == ["alias_set", "model_renamed"]
    assert set(column(say("model", "history", "leavers"), "ABOUT")) & {"fraud", "fraud/1"} == set()
    assert column(say("model", "history", "churn"), "KIND") == ["model_created"]
    assert column(say("version", "history", "leavers/3"), "KIND") == ["alias_set", "version_created"]
    assert column(say("version", "history", "leavers==1.0.5", "--limit", "2"), "CHANGE") == [
        "production -> archived",
        "none -> production",
    ]


def test_comparison(say: Say, churn: Client) -> None:
    """Two versions are told apart field by field, metadata included; what is the same only if asked for."""
    found = {
        row["FIELD"]: (row["FIRST"], row["SECOND"]) for row in rows(say("version", "compare", "churn/1", "churn/2"))
    }
    assert found["version"] == ("churn/1", "churn/2")
    assert found["stage"] == ("archived", "production")
    assert found["metadata.auc"] == ("0.8", "0.9")
    assert found["metadata.note"] == ("-", "better")
    assert "description" not in found
    everything = column(say("version", "compare", "churn/1", "churn/2", "--all"), "FIELD")
    assert {"description", "tags", "creator"} <= set(everything)


def test_doctor(run: Any, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each setting is told with where it came from, and whether the service answers; if not, that is the exit code."""
    client.create_model("churn")
    monkeypatch.setenv("TALLYMARK_ACTOR", "ana")
    done = run("--timeout", "5", "doctor", "-o", "json")
    told = {row["what"]: (row["value"], row["origin"]) for row in json.loads(done.stdout)}
    assert told.keys() == {*Settings._fields, "service"}
    assert told["url"][1] == "TALLYMARK_URL"
    assert told["project"] == ("default", "default")
    assert told["timeout"] == ("5.0", "--timeout")
    assert told["actor"] == ("ana", "TALLYMARK_ACTOR")
    assert told["service"][0].endswith("at revision 1")
    lost = run("--url", "127.0.0.1:1", "--timeout", "0.2", "doctor")
    assert lost.exit_code == 8
    assert {row["WHAT"]: row["ORIGIN"] for row in rows(lost.stdout)}["url"] == "--url"
    assert rows(lost.stdout)[-1]["VALUE"] == "does not answer"


def test_another_project(run: Any, say: Say, client: Client) -> None:
    """--project says whose models are meant."""
    say("model", "create", "churn")
    done = run("--project", "elsewhere", "model", "list")
    assert (done.exit_code, done.stdout) == (4, "")
    assert "elsewhere" in done.stderr
