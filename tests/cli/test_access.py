"""`tallymark access`, `login` and `logout`, as people use them."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from first_tokens import first_token

from tallymark.cli import main
from tallymark.credentials import credentials_path
from tallymark.testing import Server

Command = Callable[..., Result]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    folder = tmp_path / "guarded"
    folder.mkdir()
    return folder / "tallymark.db"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command in this process, without a token in the environment."""
    for name in ("TALLYMARK_TOKEN", "TALLYMARK_TOKEN_FILE", "TALLYMARK_URL"):
        monkeypatch.delenv(name, raising=False)
    return lambda *arguments, **options: CliRunner().invoke(main, arguments, catch_exceptions=False, **options)


@pytest.fixture
def root(db: Path) -> str:
    return first_token(db)


@pytest.fixture
def guarded(db: Path, root: str, run: Command, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server with access control, which commands call."""
    with Server(db) as running:
        monkeypatch.setenv("TALLYMARK_URL", running.address)
        yield running


@pytest.fixture
def logged_in(guarded: Server, root: str, run: Command) -> Server:
    """The same, with the token of an admin kept by `tallymark login`."""
    assert run("login", input=f"{root}\n").exit_code == 0
    return guarded


def said(done: Result) -> str:
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_access_control_begins_with_one_command(db: Path, run: Command) -> None:
    """`access init` prints the token alone on standard output, once, and keeps only its digest, for its owner."""
    done = run("access", "init", "--db", str(db))
    token = said(done).strip()
    assert token.startswith("tmk_")
    assert token not in done.stderr
    path = db.with_name("tallymark.access.db")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert token.encode() not in path.read_bytes()
    assert token[13:-6].encode() not in path.read_bytes()
    again = run("access", "init", "--db", str(db))
    assert (again.exit_code, again.stdout) == (1, "")
    assert "--recover" in again.stderr


def test_a_served_file_is_refused(db: Path, run: Command) -> None:
    """While a server serves the file without access control, `access init` says to stop it, and changes nothing."""
    with Server(db) as server:
        done = run("access", "init", "--db", str(db))
        assert done.exit_code == 1
        assert str(server.pid) in done.stderr
    assert not db.with_name("tallymark.access.db").exists()


def test_a_lost_token_is_replaced_by_who_owns_the_file(db: Path, root: str, run: Command) -> None:
    """`access init --recover` adds another token of an admin, and the log shows that the operator did it."""
    token = said(run("access", "init", "--db", str(db), "--recover", "--name", "second", "--expires", "30d")).strip()
    with Server(db) as server:
        done = run("--url", server.address, "access", "token", "list", "-o", "json", env={"TALLYMARK_TOKEN": token})
        rows = {row["token"]: row for row in json.loads(said(done))}
        assert {name: row["creator"] for name, row in rows.items()} == {"root": "operator", "second": "operator"}
        assert rows["root"]["expires"] == "never" != rows["second"]["expires"]
    taken = run("access", "init", "--db", str(db), "--recover", "--name", "second")
    assert taken.exit_code == 1
    assert "second" in taken.stderr


def test_a_login_keeps_the_token_for_later_commands(guarded: Server, root: str, run: Command) -> None:
    """Before it, commands are refused with what to do; after it, they are answered, until the logout."""
    refused = run("model", "list")
    assert refused.exit_code == 7
    assert "tallymark login" in refused.stderr
    done = run("login", input=f"{root}\n")
    assert done.exit_code == 0
    assert root not in done.output
    assert stat.S_IMODE(Path(credentials_path()).stat().st_mode) == 0o600
    assert json.loads(said(run("access", "show", "-o", "json")))["caller"] == "root"
    assert "forgotten" in run("logout").stderr
    assert run("model", "list").exit_code == 7
    assert "no token" in run("logout").stderr


def test_a_login_with_a_token_that_does_not_count_keeps_nothing(logged_in: Server, root: str, run: Command) -> None:
    """A mistyped token is refused, is not shown, and the one from before is kept."""
    wrong = root[:-1] + ("a" if root[-1] != "a" else "b")
    for text in (wrong, "", "two words", "x" * 20_000):
        done = run("login", input=f"{text}\n")
        assert done.exit_code in (2, 7)
        assert not text or text not in done.output
    assert run("model", "list").exit_code == 0


def test_a_login_says_that_a_variable_wins(guarded: Server, root: str, run: Command) -> None:
    """Whoever logs in while TALLYMARK_TOKEN is set learns that it is presented in place of what is kept."""
    done = run("login", input=root, env={"TALLYMARK_TOKEN": "tmk_other"})
    assert done.exit_code == 0
    assert "TALLYMARK_TOKEN is set" in done.stderr
    assert run("model", "list", env={"TALLYMARK_TOKEN": "tmk_other"}).exit_code == 7
    assert run("model", "list").exit_code == 0


def test_a_token_is_typed_without_being_shown(
    guarded: Server, root: str, registry: Server, on_terminal: Callable[..., tuple[int, str]]
) -> None:
    """On a terminal, `login` requests the token, and what is typed does not appear."""
    code, shown = on_terminal("--url", guarded.address, "login", typed=f"{root}\n", meanwhile=lambda: None)
    assert code == 0
    assert f"Token for {guarded.address}" in shown
    assert root not in shown


def test_no_option_takes_a_token(run: Command) -> None:
    """`login` has no argument and no option for the token, since other users of a machine see these."""
    done = run("login", "tmk_x")
    assert done.exit_code == 2
    help_ = said(run("login", "--help"))
    assert "--token" not in help_


def test_tokens_are_managed(logged_in: Server, run: Command) -> None:
    """Tokens are created with a role, listed without their text, rotated and revoked."""
    command = ("access", "token", "create", "ci", "--role", "reader", "--project", "default", "--expires", "90d")
    created = json.loads(said(run(*command, "-o", "json")))
    assert created["token"] == "ci"
    assert run("model", "list", env={"TALLYMARK_TOKEN": created["text"]}).exit_code == 0
    assert run("project", "create", "x", env={"TALLYMARK_TOKEN": created["text"]}).exit_code == 7
    listed = said(run("access", "token", "list"))
    assert "default:reader" in listed
    assert created["text"] not in listed
    rotated = json.loads(said(run("access", "token", "rotate", "ci", "--overlap", "1h", "-o", "json")))
    for text in (created["text"], rotated["text"]):
        assert run("model", "list", env={"TALLYMARK_TOKEN": text}).exit_code == 0
    assert said(run("access", "token", "revoke", "ci"))
    for text in (created["text"], rotated["text"]):
        assert run("model", "list", env={"TALLYMARK_TOKEN": text}).exit_code == 7
    assert run("access", "token", "revoke", "ci").exit_code == 4


def test_the_last_admin_token_cannot_be_revoked(logged_in: Server, run: Command) -> None:
    """The refusal has the exit code of other refusals, and names the command that creates another token."""
    done = run("access", "token", "revoke", "root")
    assert done.exit_code == 6
    assert "access token create" in done.stderr


def test_grants_and_service_accounts_are_managed(logged_in: Server, run: Command) -> None:
    """Service accounts and grants are created, listed and removed, and a name without a kind is enough."""
    said(run("access", "service-account", "create", "bot", "--project", "default", "--role", "reader"))
    said(run("access", "grant", "add", "bot", "--role", "writer", "--project", "default"))
    said(run("access", "grant", "add", "ann@example.com", "--role", "admin", "--project", "*"))
    rows = said(run("access", "grant", "list", "-o", "csv")).splitlines()
    assert rows == [
        "MEMBER,PROJECT,ROLE",
        "service-account:bot,default,writer",
        "token:root,*,admin",
        "user:ann@example.com,*,admin",
    ]
    assert said(run("access", "grant", "list", "--member", "bot", "-o", "name")) == "service-account:bot\n"
    token = json.loads(said(run("access", "token", "create", "b", "--service-account", "bot", "-o", "json")))["text"]
    assert run("model", "create", "churn", env={"TALLYMARK_TOKEN": token}).exit_code == 0
    said(run("access", "grant", "remove", "ann@example.com", "--project", "*"))
    assert "bot" in said(run("access", "service-account", "list"))
    said(run("access", "service-account", "delete", "bot"))
    assert run("model", "list", env={"TALLYMARK_TOKEN": token}).exit_code == 7


@pytest.mark.parametrize("expires", ["soon", "-1d", "2h ago", "90"])
def test_a_span_that_cannot_be_read_is_refused(run: Command, expires: str) -> None:
    """The refusal says how spans are written."""
    done = run("access", "token", "create", "x", "--expires", expires)
    assert done.exit_code == 2
    assert "such as 90d" in done.stderr


def test_verify_proves_the_log_of_access_too(db: Path, root: str, run: Command) -> None:
    """`verify` prints the end of the log of access, and fails when the log was changed."""
    with Server(db):
        pass
    done = run("verify", "--db", str(db))
    assert "access: " in said(done)
    path = db.with_name("tallymark.access.db")
    content = path.read_bytes()
    assert b'"role":4' in content
    path.write_bytes(content.replace(b'"role":4', b'"role":3'))
    broken = run("verify", "--db", str(db))
    assert broken.exit_code == 1
    assert "tallymark.access.db" in broken.stderr


def test_backups_and_exports_have_no_tokens(db: Path, root: str, run: Command, tmp_path: Path) -> None:
    """Neither the copy nor the export has anything of the access file, and `backup` says where tokens are."""
    with Server(db):
        pass
    done = run("backup", "--db", str(db), "--to", str(tmp_path / "copy.db"))
    assert "tallymark.access.db" in said(done)
    said(run("export", "--db", str(db), "--to", str(tmp_path / "export.jsonl")))
    digest = root[4:12].encode()
    assert digest in db.with_name("tallymark.access.db").read_bytes()
    for name in ("copy.db", "export.jsonl"):
        assert digest not in (tmp_path / name).read_bytes()
    assert not (tmp_path / "copy.access.db").exists()


@pytest.mark.parametrize("content", [b"", b"no database" * 100])
def test_a_server_with_a_damaged_access_file_does_not_start(db: Path, run: Command, content: bytes) -> None:
    """It would answer everybody otherwise, so it says what to do in one sentence, and ends."""
    path = db.with_name("tallymark.access.db")
    path.write_bytes(content)
    path.chmod(0o600)
    done = run("serve", "--db", str(db), "--listen", "127.0.0.1:0", "--no-ui")
    assert done.exit_code == 1
    assert str(path) in done.stderr
    assert len(done.stderr.splitlines()) == 1
