"""A planted token is searched for in everything that programs, commands and the server write."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from first_tokens import client_with, first_token

from tallymark.testing import Server
from tallymark.types.enums import Role, RunState

PROGRAM = """
import logging, os, pickle, sys, traceback
import tallymark
from tallymark import AsyncClient, Client, Model, errors, pipeline, settings, step

logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
model = Model("churn")

@step(model=model)
def train(token: str, depth: int, headers: dict) -> dict:
    tallymark.log_metadata({"note": f"called with {token}", "headers": headers})
    model.save("weights", {"depth": depth})
    return {"depth": depth}

@pipeline(model=model)
def training(token: str) -> None:
    train(token, 3, {"authorization": f"Bearer {token}"})
    if "fail" in sys.argv:
        raise RuntimeError(f"cannot log in with token={token} at {os.environ['TALLYMARK_URL']}")

token = os.environ["TALLYMARK_TOKEN"]
try:
    training(token)
except RuntimeError:
    pass
client = Client()
print(repr(client), repr(AsyncClient()), settings.current(), vars(client))
with open("client.pickle", "wb") as stream:
    pickle.dump([client, train, training], stream)
if os.environ.get("TALLYMARK_MODE") != "offline":
    for attempt in (lambda: client.get_model("missing"), lambda: Client(timeout=0.2, url="127.0.0.1:1").get_model("x")):
        try:
            attempt()
        except errors.TallymarkError as error:
            print(repr(error), error.metadata, pickle.dumps(error))
            traceback.print_exc()
if "crash" in sys.argv:
    os.kill(os.getpid(), 9)
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The folder in which the programs run, with everything that they write."""
    folder = tmp_path / "place"
    folder.mkdir()
    (folder / "program.py").write_text(PROGRAM)
    return folder


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[tuple[Server, str]]:
    """A server with access control that logs everything, and the token of its admin."""
    db = tmp_path / "server" / "tallymark.db"
    db.parent.mkdir()
    root = first_token(db)
    with Server(db, ("--log-level", "debug"), http="127.0.0.1:0") as running:
        yield running, root


def forms_of(token: str) -> dict[str, bytes]:
    """Return the token and its secret part as text, as hexadecimal digits, and as base64 at each of three offsets."""
    secret = token.split("_")[2]
    found = {"text": token.encode(), "secret": secret.encode(), "hex": secret.encode().hex().encode()}
    for offset in range(3):
        encoded = base64.b64encode(b"x" * offset + secret.encode())
        found[f"base64 at {offset}"] = encoded[4:-4]
    return found


def shown_in(content: bytes, token: str) -> set[str]:
    """Return in which forms the content has the token, also inside of a stream that is compressed."""
    contents = [content]
    with suppress(zlib.error):
        contents.append(zlib.decompress(content, 47))
    return {form for form, text in forms_of(token).items() if any(text in each for each in contents)}


def test_a_planted_token_would_be_found(tmp_path: Path) -> None:
    """The search finds the token in every form, so that finding none means something."""
    token = "tmk_Ab3dEf9h_" + "S3cret" * 8 + "x"
    secret = token.split("_")[2].encode()
    hidden = [
        token.encode(),
        secret.hex().encode(),
        base64.b64encode(b"Bearer " + token.encode()),
        zlib.compress(secret),
    ]
    assert all(shown_in(b"before " + each if each != hidden[-1] else each, token) for each in hidden)
    assert shown_in(b"nothing", token) == set()


def test_nothing_that_is_written_has_the_token(guarded: tuple[Server, str], place: Path, tmp_path: Path) -> None:
    """Runs, crashes, errors, logs, pickles, spools, commands and the server's files have neither the token nor a part.

    The token comes from the environment and from a file, is an argument of steps and of the command line, is in an
    error, and is refused in the end.
    """
    server, root = guarded
    with client_with(server, root) as admin:
        token = admin.access.create_token("ci", role=Role.WRITER, projects=["default"]).text
        outputs = [run(place, server, token, *arguments) for arguments in PROGRAMS]
        assert b"Client(" in outputs[0], outputs[0]
        runs = list(admin.list_runs())
        assert [each.state for each in runs].count(RunState.FAILED) == 1
        assert any("[redacted]" in each.command for each in runs)
        admin.access.revoke_token("ci")
        outputs += [run(place, server, token, *arguments) for arguments in PROGRAMS[:1] + COMMANDS[:3]]
    server.stop()
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any("spool" in path.parts for path in written), "something was recorded offline"
    found = {str(path.relative_to(tmp_path)): shown_in(path.read_bytes(), token) for path in written}
    kept = {str((place / "config/tallymark/credentials").relative_to(tmp_path)), "place/token"}
    assert found[min(kept)], "what login keeps is the one file that has it"
    assert {name: forms for name, forms in found.items() if forms and name not in kept} == {}
    assert [shown_in(output, token) for output in outputs] == [set()] * len(outputs)


COMMANDS: list[tuple[str, ...]] = [
    ("tallymark", "doctor"),
    ("tallymark", "model", "list", "-o", "json"),
    ("tallymark", "model", "get", "missing"),
    ("tallymark", "login"),
    ("tallymark", "access", "show"),
    ("tallymark", "run", "list", "-o", "yaml"),
    ("tallymark", "events", "-o", "jsonl"),
    ("tallymark", "sync", "--dry-run"),
    ("tallymark", "--url", "registry.invalid:1", "model", "list"),
]
PROGRAMS: list[tuple[str, ...]] = [
    (sys.executable, "program.py", "--token", "{}"),
    (sys.executable, "program.py", "fail", "TALLYMARK_TOKEN={}"),
    (sys.executable, "program.py", "crash", "--api-key={}"),
    ("env", "TALLYMARK_MODE=offline", sys.executable, "program.py", "offline", "{}"),
    *COMMANDS,
]


def run(place: Path, server: Server, token: str, *arguments: str) -> bytes:
    """Run a program with the token in its environment, in a file, and as its input; return all that it prints."""
    (place / "token").write_text(token)
    (place / "token").chmod(0o600)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TALLYMARK_")},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(place),
        "XDG_CONFIG_HOME": str(place / "config"),
        "XDG_STATE_HOME": str(place / "state"),
        "TALLYMARK_URL": server.address,
        "TALLYMARK_TOKEN_FILE": str(place / "token"),
        "TALLYMARK_TOKEN": token,
    }
    done = subprocess.run(
        [each.replace("{}", token) for each in arguments],
        cwd=place,
        env=environment,
        input=token.encode(),
        capture_output=True,
        check=False,
    )
    return done.stdout + done.stderr
