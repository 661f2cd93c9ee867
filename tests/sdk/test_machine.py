"""What the machine says of itself never keeps a run from starting."""

import os
import socket
import subprocess
import sys

import pytest

from tallymark import Client, Model, run
from tallymark.errors import InvalidSetting
from tallymark.runtime.machine import MAX_NAME, readable
from tallymark.settings import MAX_ACTOR, adjusted
from tallymark.testing import Server

NAMES = {
    "plain": "plain",
    "Zoë": "Zoë",
    "us\udce9r": r"us\udce9r",
    "a\x1b[31mb\n": r"a\x1b[31mb",
    " x\u200bx ": r"x\u200bx",
    "h" * 3000: "h" * MAX_NAME,
    "\x00" * 3000: (r"\x00" * 40)[:MAX_NAME],
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("registry_env")
def test_a_run_starts_whatever_the_machine_and_its_user_are_called(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names with bytes that are no UTF-8, control characters or great length are escaped and cut, wherever they go."""
    monkeypatch.setattr(socket, "gethostname", lambda: name)
    monkeypatch.setattr("getpass.getuser", lambda: name)
    with run(model=Model("churn"), id="r"):
        pass
    with Client() as client:
        found = client.get_run("r")
    assert (found.host, found.user) == (NAMES[name], NAMES[name])
    assert found.creator == f"{NAMES[name]}@{NAMES[name]}" == adjusted().actor
    assert len(found.creator) <= MAX_ACTOR


def test_variables_whose_bytes_are_no_text_are_told_escaped(registry_env: Server) -> None:
    """The user, the commit and the address of the run's page may be any bytes."""
    program = "import tallymark\nwith tallymark.run(model=tallymark.Model('churn'), id='r'): pass"
    variables = {name.encode(): b"x\xe9x" for name in ("LOGNAME", "USER", "TALLYMARK_RUN_COMMIT", "TALLYMARK_RUN_URL")}
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environb, **variables}, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with Client(registry_env.address) as client:
        found = client.get_run("r")
    assert (found.user, found.commit, found.url) == (r"x\udce9x",) * 3
    assert found.creator.startswith(r"x\udce9x@")


def test_a_machine_without_names_has_some_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where user or host cannot be found out, the id of the account and `unknown` stand for them."""

    def nothing() -> str:
        raise OSError("none")

    monkeypatch.setattr(socket, "gethostname", nothing)
    monkeypatch.setattr("getpass.getuser", nothing)
    assert adjusted().actor == f"uid-{os.getuid()}@unknown"


def test_a_name_that_somebody_chose_is_refused_instead() -> None:
    """An actor that is given is never changed in silence."""
    with pytest.raises(InvalidSetting, match="at most 255 characters"):
        adjusted(actor="x" * 256)
    assert readable("x" * 256, 255) == "x" * 255
