"""Runs start whatever the names of the machine and its user are."""

import os
import socket
import subprocess
import sys

import pytest

from tallymark import Client, Model, run
from tallymark.errors import InvalidSetting
from tallymark.runtime.machine import MAX_NAME, is_notebook, readable
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
def test_a_run_starts_with_any_names_of_machine_and_user(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that are long, not UTF-8, or have control characters are cut and escaped everywhere."""
    monkeypatch.setattr(socket, "gethostname", lambda: name)
    monkeypatch.setattr("getpass.getuser", lambda: name)
    with run(model=Model("churn"), id="r"):
        pass
    with Client() as client:
        found = client.get_run("r")
    assert (found.host, found.user) == (NAMES[name], NAMES[name])
    assert found.creator == f"{NAMES[name]}@{NAMES[name]}" == adjusted().actor
    assert len(found.creator) <= MAX_ACTOR


def test_variables_that_are_not_utf_8_are_escaped(registry_env: Server) -> None:
    """The user, the commit and the URL of the run's page may be any bytes."""
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


def test_unknown_names_have_placeholders(monkeypatch: pytest.MonkeyPatch) -> None:
    """If user or host are unknown, the log has the id of the account and `unknown`."""

    def nothing() -> str:
        raise OSError("none")

    monkeypatch.setattr(socket, "gethostname", nothing)
    monkeypatch.setattr("getpass.getuser", nothing)
    assert adjusted().actor == f"uid-{os.getuid()}@unknown"


def test_an_invalid_actor_is_refused() -> None:
    """An actor that the user has set is never changed silently."""
    with pytest.raises(InvalidSetting, match="at most 255 characters"):
        adjusted(actor="x" * 256)
    assert readable("x" * 256, 255) == "x" * 255


def test_a_shell_of_ipykernel_is_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process is a notebook if the shell that IPython names is of ipykernel or inherits from it, and else not."""
    zmq = type("ZMQInteractiveShell", (), {"__module__": "ipykernel.zmqshell"})
    for kind, expected in (
        (zmq, True),
        (type("Shell", (zmq,), {"__module__": "google.colab._shell"}), True),
        (dict, False),
    ):
        monkeypatch.setattr("builtins.get_ipython", kind, raising=False)
        assert is_notebook() is expected
    monkeypatch.delattr("builtins.get_ipython")
    assert not is_notebook()
