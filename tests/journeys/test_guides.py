"""The README: what it shows is what happens."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sklearn.datasets import load_breast_cancer

from tallymark import Client

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
CHAPTERS = README.partition("## Train\n")[2].partition("## From any language\n")[0]
STORY = re.findall(r"^```(\w+)\n(.*?)^```$", CHAPTERS, re.MULTILINE | re.DOTALL)
[SERVICE] = [text for kind, text in STORY if kind == "python" and "FastAPI" in text]


def blocks(language: str) -> list[str]:
    return [text for kind, text in BLOCKS if kind == language]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder with the README's service in the background, as `tallymark up` starts it, but on free ports."""
    home, empty = tmp_path / "home", tmp_path / "empty"
    empty.mkdir()
    settings = {
        "HOME": home,
        "XDG_STATE_HOME": home / "state",
        "XDG_CONFIG_HOME": home / "config",
        "TALLYMARK_LISTEN": "127.0.0.1:0",
        "TALLYMARK_HTTP": "127.0.0.1:0",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.delenv("TALLYMARK_SPOOL", raising=False)
    monkeypatch.chdir(empty)
    assert shell("tallymark up").returncode == 0
    (running,) = json.loads(shell("tallymark status -o json").stdout)
    monkeypatch.setenv("TALLYMARK_URL", running["address"])
    yield empty
    assert shell("tallymark stop").returncode == 0


def shell(script: str) -> subprocess.CompletedProcess[str]:
    """The result of lines of a shell, of which the first that fails ends them."""
    return subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=False)


def compact(text: str) -> str:
    """The text without the blanks by which a table is aligned."""
    return re.sub(r"[ \t]+", " ", text)


def test_the_chapters_join_in_one_empty_folder(folder: Path) -> None:
    """Trained, looked at, promoted and read again in the README's order, each block prints the text after it."""
    assert "tallymark up" in "".join(blocks("sh"))
    shown = 0
    for place, (kind, text) in enumerate(STORY):
        if kind == "text" or text == SERVICE:
            continue
        if kind == "python":
            (folder / "program.py").write_text(text)
            done = shell("python program.py")
        else:
            done = shell(text)
        assert done.returncode == 0, done.stderr
        following = STORY[place + 1] if place + 1 < len(STORY) else ("", "")
        if following[0] == "text":
            shown += 1
            assert compact(done.stdout).startswith(compact(following[1])), done.stdout
        if kind == "python":
            assert done.stderr == ""
    assert shown >= 3
    _serves_what_is_in_production()


def _serves_what_is_in_production() -> None:
    """The README's service answers with what was promoted before, and with the next once it is promoted."""
    service: dict[str, Any] = {}
    exec(SERVICE, service)
    tumors = service["tumors"]
    measured = list(load_breast_cancer().data[0])
    with Client() as registry, TestClient(service["app"]) as http:
        assert http.post("/tumors", json=measured).json() == {"benign": False, "number": 2}
        registry.set_stage("tumors/3", "production", force=True)
        assert http.portal.call(tumors.wait_for, lambda: tumors.current.version.number == 3, 30)
        assert http.post("/tumors", json=measured).json() == {"benign": False, "number": 3}
    assert Path("tumors.json").exists()


def test_the_program_runs_without_the_registry_when_recording_is_disabled(tmp_path: Path) -> None:
    """With TALLYMARK_MODE=disabled the README's training comes to its end, with 0 for each number."""
    environment = {**os.environ, "TALLYMARK_MODE": "disabled", "TALLYMARK_URL": "127.0.0.1:1"}
    command = [sys.executable, "-c", blocks("python")[0]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("are number 0") == 3


def test_the_readme_keeps_its_order() -> None:
    """What it is, install, train, promote, serve, what is recorded, languages, dashboard, commands, rooms, promises."""
    assert re.findall(r"^#+ (.*)$", README, re.MULTILINE) == [
        "Tallymark",
        "Install",
        "Train",
        "Look, and promote",
        "Serve what is in production",
        "Numbers, names, runs without decorators",
        "What is recorded",
        "When the registry is away",
        "From any language",
        "The dashboard",
        "The command line",
        "Erasing",
        "Backup, export, import",
        "Moving from MLflow or ZenML",
        "What it costs",
        "Two commands",
        "The rooms",
        "The promises",
    ]


def test_the_first_program_is_short() -> None:
    """The first program stays one that a reader takes in at a glance: a real training in twenty lines."""
    lines = [line for line in blocks("python")[0].splitlines() if line.strip()]
    assert len(lines) <= 20


@pytest.mark.parametrize("target", ["demo", "test", "check", "serve", "bench"])
def test_every_make_command_of_the_readme_is_there(target: str) -> None:
    """A command that the README names is one that the Makefile has."""
    assert f"make {target}" in README
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_every_room_of_the_readme_is_there() -> None:
    """Each path in the table of rooms exists."""
    rooms = re.findall(r"^\| `([^`]+)` \|", README, re.MULTILINE)
    assert len(rooms) >= 6
    for room in rooms:
        assert (ROOT / room).exists(), room


def test_every_promise_of_the_readme_names_its_proof() -> None:
    """Each promise points to a test file that exists."""
    proofs = re.findall(r"\(`(tests/[^`]+)`\)", README)
    assert len(proofs) >= 6
    for proof in proofs:
        assert (ROOT / proof).exists(), proof
