"""What commands refuse, how they say it, and what they ask first."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click
import pytest

from tallymark import Client, Stage, errors
from tallymark.cli.client_context import fail
from tallymark.cli.tags import change_tags
from tallymark.testing import Server


def one_line(done: Any) -> str:
    """Return the error, which is one line; nothing else was printed but click's usage before it."""
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if line and not line.startswith(("Usage:", "Try "))]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("Error: ")
    return str(lines[0])


REFUSALS: list[tuple[int, str, list[str]]] = [
    (2, "Missing argument", ["version", "get"]),
    (2, "No such command", ["version", "transmute", "churn"]),
    (2, "Did you mean 'model'?", ["modle", "list"]),
    (2, "No such option", ["model", "list", "--bogus"]),
    (2, "--url goes before the command", ["model", "list", "--url", "127.0.0.1:1"]),
    (2, "'xml' is not one of", ["model", "list", "-o", "xml"]),
    (2, "--limit", ["model", "list", "--limit", "0"]),
    (2, "latest", ["version", "get", "churn/abc"]),
    (2, "number", ["version", "get", "churn/"]),
    (2, "empty", ["version", "get", ""]),
    (2, "form", ["model", "get", "churn/1"]),
    (2, "at position", ["version", "list", "churn", "--filter", "stage = "]),
    (2, "--watch", ["version", "list", "churn", "--filter", "number > 1", "--watch"]),
    (2, "HOST:PORT", ["--url", "nowhere", "model", "list"]),
    (2, "--timeout", ["--timeout", "0", "model", "list"]),
    (2, "a/b", ["--project", "a/b", "model", "list"]),
    (2, "for commands that call a service", ["--url", "127.0.0.1:1", "serve"]),
    (2, "KEY=VALUE", ["metadata", "set", "churn", "auc"]),
    (2, "KEY=VALUE", ["metadata", "set", "churn", "=1"]),
    (2, "KEY=VALUE", ["metadata", "set", "churn"]),
    (2, "each key", ["metadata", "set", "churn", "a=1", "--text", "a=2"]),
    (2, "KEY=JSON", ["metadata", "set", "churn", "--json", "a={"]),
    (2, "NaN", ["metadata", "set", "churn", "--json", "a=[NaN]"]),
    (2, "KEY=TIME", ["metadata", "set", "churn", "--time", "a=noon"]),
    (2, "what to change", ["model", "update", "churn"]),
    (2, "what to change", ["version", "update", "churn/1"]),
    (2, "stage_changed", ["version", "watch", "churn", "--kind", "promotion"]),
    (4, "'fraud' in project 'default'; create it", ["model", "get", "fraud"]),
    (4, "no version 9; list its versions, also with --show-deleted", ["version", "get", "churn/9"]),
    (4, "no version named '9.9'; list", ["version", "get", "churn==9.9"]),
    (4, "staging", ["version", "get", "churn@staging"]),
    (4, "'nobody'; set it, or see which", ["version", "get", "churn@nobody"]),
    (4, "'r9' in project 'default'; start it, or check its id", ["run", "get", "r9"]),
    (4, "no artifact 'weights'; list those it has", ["artifact", "get", "churn/1", "weights"]),
    (5, "use it, or choose another name", ["model", "create", "churn"]),
    (5, "rc", ["version", "create", "churn", "--name", "rc"]),
    (6, "--force", ["version", "promote", "churn/3", "--yes"]),
    (6, "--force", ["version", "delete", "churn/2", "--yes"]),
    (6, "--force", ["model", "delete", "churn", "--yes"]),
    (6, "deleted", ["model", "purge", "churn", "--yes"]),
    (6, "changed since", ["version", "promote", "churn/3", "--force", "--if-etag", "r1", "--yes"]),
    (6, "changed since", ["model", "update", "churn", "--license", "x", "--if-etag", "r0"]),
    (6, "champion", ["alias", "set", "churn/1", "champion", "--if-number", "0"]),
    (6, "99", ["events", "--follow", "--since", "99"]),
]


def test_a_refusal_has_an_exit_code_and_one_line(run: Any, churn: Client) -> None:
    """The exit code shows the class of the error, and the message is one line."""
    before = churn.newest_revision()
    for code, words, command in REFUSALS:
        done = run(*command)
        assert (done.exit_code, words in one_line(done)) == (code, True), (command, done.stderr)
    assert churn.newest_revision() == before
    assert {code for code, _, _ in REFUSALS} == {2, 4, 5, 6}


@pytest.mark.parametrize("branch", errors.TallymarkError.__subclasses__())
def test_every_kind_of_error_has_its_exit_code(branch: type[errors.TallymarkError]) -> None:
    """Each class of errors ends a command with the exit code in the guide, any other with 1."""
    codes = {"InvalidArgument": 2, "NotFound": 4, "AlreadyExists": 5, "Refused": 6, "Conflict": 6, "OutOfRange": 6}
    codes |= {"Unauthenticated": 7, "Forbidden": 7, "Unavailable": 8, "Internal": 1, "DataLoss": 1, "Unimplemented": 1}
    with pytest.raises(click.exceptions.Exit) as ended:
        fail(branch("why"))
    assert ended.value.exit_code == codes[branch.__name__]


def test_control_characters_are_escaped_in_errors(capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters in the message of a service are escaped."""
    with pytest.raises(click.exceptions.Exit):
        fail(errors.NotFound("no \x1b[2Jmodel \u202eevil"))
    assert capsys.readouterr().err == "Error: no \\x1b[2Jmodel \\u202eevil\n"


def test_an_unreachable_service_is_exit_code_8(run: Any) -> None:
    """A closed port and a silent one end a command with exit code 8, the address and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for address in ("127.0.0.1:1", "{}:{}".format(*silent.getsockname())):
            done = run("--url", address, "--timeout", "0.3", "model", "list")
            told = one_line(done)
            assert done.exit_code == 8
            assert address in told
            assert "tallymark serve" in told
            assert "--url" in told
            assert "configure" not in told


def test_an_old_name_of_a_model_is_refused_with_the_new_one(run: Any, churn: Client) -> None:
    """The error for the old name has the new one."""
    churn.rename_model("churn", "leavers")
    done = run("version", "get", "churn@production")
    assert done.exit_code == 4
    assert "leavers" in one_line(done)


CAREFUL = {
    ("version", "promote", "churn/3", "--force"): (
        "Move churn/3 from none to production, and churn/2 from production to the archive?",
        "production",
    ),
    ("version", "rollback", "churn"): ("Put churn/1 back into production, and churn/2 into the archive?", "archived"),
    ("version", "delete", "churn/3"): ("Delete churn/3?", "none"),
    ("model", "delete", "churn", "--force"): ("Delete the model churn and its versions?", "none"),
}


@pytest.mark.parametrize("command", CAREFUL, ids=" ".join)
def test_changes_ask_for_confirmation_on_a_terminal(on_terminal: Any, churn: Client, command: tuple[str, ...]) -> None:
    """On a terminal there is a question, and the change is made only after a yes."""
    before = churn.newest_revision()
    for typed in ("n\n", "\n"):
        code, shown = on_terminal(*command, typed=typed)
        assert (code, churn.newest_revision()) == (1, before)
        assert CAREFUL[command][0] in shown
        assert shown.endswith("Error: nothing was changed\n")
    code, shown = on_terminal(*command, typed="y\n")
    assert (code, churn.newest_revision() > before) == (0, True), shown


def test_a_refusal_precedes_the_confirmation(on_terminal: Any, churn: Client) -> None:
    """The error that --force is needed comes before the question."""
    code, shown = on_terminal("version", "promote", "churn/3", typed="y\n")
    assert code == 6
    assert "repeat with --force" in shown
    assert "?" not in shown


def test_a_rollback_archives_only_the_version_that_was_shown(on_terminal: Any, churn: Client) -> None:
    """A version that is promoted during the question stays in production, and the rollback is refused."""

    def promote() -> None:
        churn.set_stage("churn/3", Stage.PRODUCTION, force=True)

    code, shown = on_terminal("version", "rollback", "churn", typed="y\n", meanwhile=promote)
    assert (code, "number 3 of model 'churn' is in production now" in shown) == (6, True), shown
    assert [churn.get_version(f"churn/{number}").stage for number in (1, 2, 3)] == [
        "archived",
        "archived",
        "production",
    ]


@pytest.mark.parametrize("command", CAREFUL, ids=" ".join)
def test_without_a_terminal_yes_is_required(
    run: Any, on_terminal: Any, churn: Client, command: tuple[str, ...]
) -> None:
    """Without a terminal, --yes is required; with it, there is no question on a terminal either."""
    before = churn.newest_revision()
    done = run(*command)
    assert (done.exit_code, churn.newest_revision()) == (2, before)
    assert one_line(done) == (
        f"Error: {CAREFUL[command][0]} There is no terminal to confirm on: add --yes to go on without a question"
    )
    code, shown = on_terminal(*command, "--yes")
    assert (code, churn.newest_revision() > before) == (0, True), shown
    assert "?" not in shown


def test_purge_asks_for_confirmation(run: Any, on_terminal: Any, churn: Client) -> None:
    """A purge requires a confirmation, and says that it cannot be undone."""
    churn.delete_model("churn", force=True)
    assert run("model", "purge", "churn").exit_code == 2
    code, shown = on_terminal("model", "purge", "churn", typed="y\n")
    assert (code, "for good?" in shown) == (0, True)
    assert list(churn.list_models(show_deleted=True)) == []


def test_a_missing_version_is_refused_before_the_confirmation(run: Any, churn: Client) -> None:
    """A missing version is an error without a question."""
    assert run("version", "delete", "churn/9").exit_code == 4
    assert run("model", "delete", "fraud").exit_code == 4


def test_the_confirmed_version_is_moved(on_terminal: Any, churn: Client) -> None:
    """The version that the reference meant at the time of the question is moved, even if an alias moves meanwhile."""
    code, shown = on_terminal("version", "promote", "churn", "--stage", "staging", typed="y\n")
    assert (code, "Move churn/3 from none to staging?" in shown) == (0, True)
    assert churn.get_version("churn/3").stage is Stage.STAGING


def test_concurrent_changes_of_tags_are_not_lost(churn: Client, registry: Server) -> None:
    """Tags that several clients set at the same time are all kept."""

    def add(number: int) -> None:
        with Client(registry.address) as other:
            change_tags(other, "churn/1", lambda present: present | {f"t{number}"})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    assert churn.get_version("churn/1").tags == ("t0", "t1", "t2", "t3")
