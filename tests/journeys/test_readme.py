"""The README: what it shows is what happens."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import pytest
from fastapi.testclient import TestClient
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass
from sklearn.dummy import DummyRegressor

from tallymark import Client, Uri
from tallymark.testing import Server
from tallymark.v1 import event_log_pb2, model_registry_pb2

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
[SERVICE] = [text for kind, text in BLOCKS if kind == "python" and "FastAPI" in text]


def blocks(language: str) -> list[str]:
    return [text for kind, text in BLOCKS if kind == language]


def test_the_programs_print_what_the_readme_says(registry_env: Server, tmp_path: Path) -> None:
    """Each Python block, run in the README's order on a fresh registry, prints the text block after it."""
    programs = [index for index, block in enumerate(BLOCKS) if block[0] == "python" and block[1] != SERVICE]
    assert programs
    for index in programs:
        program = tmp_path / "train.py"
        program.write_text(BLOCKS[index][1])
        done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        assert BLOCKS[index + 1] == ("text", done.stdout)


def test_the_program_runs_without_the_registry_when_recording_is_disabled(tmp_path: Path) -> None:
    """With TALLYMARK_MODE=disabled the README's training comes to its end, with 0 for each number."""
    environment = {**os.environ, "TALLYMARK_MODE": "disabled", "TALLYMARK_URL": "127.0.0.1:1"}
    command = [sys.executable, "-c", blocks("python")[0]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "is number 0" in done.stdout


def test_the_service_serves_what_is_in_production(
    registry_env: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The README's service answers with the model in production, with the next once it is promoted, and restarts."""
    monkeypatch.chdir(tmp_path)
    service: dict[str, Any] = {}
    exec(SERVICE, service)
    churn = service["churn"]
    with Client() as registry:
        registry.create_model("churn")
        for number, chance in ((1, 0.25), (2, 0.75)):
            joblib.dump(DummyRegressor(strategy="constant", constant=chance).fit([[0]], [0]), f"{number}.joblib")
            registry.create_version("churn", metadata={"file": Uri(f"{number}.joblib")})
        registry.set_stage("churn/1", "production")
        with TestClient(service["app"]) as http:
            assert http.get("/churn?age=40").json() == {"churn": 0.25, "number": 1}
            registry.set_stage("churn/2", "production", force=True)
            assert http.portal.call(churn.wait_for, lambda: churn.current.version.number == 2, 30)
            assert http.get("/churn?age=40").json() == {"churn": 0.75, "number": 2}
    registry_env.stop()
    with TestClient(service["app"]) as http:
        assert http.get("/churn?age=40").json() == {"churn": 0.75, "number": 2}


def test_the_readme_keeps_its_order() -> None:
    """What it is, install, ten lines, what is recorded, serving, languages, dashboard, commands, rooms, promises."""
    assert re.findall(r"^#+ (.*)$", README, re.MULTILINE) == [
        "Tallymark",
        "Install",
        "Ten lines",
        "Artifacts, metrics, lineage",
        "Serve what is in production",
        "From any language",
        "The dashboard",
        "The command line",
        "Backup, export, import",
        "Moving from MLflow or ZenML",
        "What it costs",
        "Two commands",
        "The rooms",
        "The promises",
    ]


def test_each_grpcurl_line_asks_for_a_method_that_is_served() -> None:
    """The methods and the fields in the README's grpcurl lines are those of the contract."""
    asked = re.findall(r"-d '([^']*)'[ \\\n]+\S+ tallymark\.v1\.(\w+)/(\w+)", README)
    assert len(asked) >= 2
    for body, service, method in asked:
        found = [module.DESCRIPTOR.services_by_name.get(service) for module in (model_registry_pb2, event_log_pb2)]
        (descriptor,) = [service for service in found if service is not None]
        message = GetMessageClass(descriptor.methods_by_name[method].input_type)()
        assert ParseDict(json.loads(body), message).ByteSize() > 0


def test_ten_lines_are_few() -> None:
    """The first program stays one that a reader takes in at a glance."""
    lines = [line for line in blocks("python")[0].splitlines() if line.strip()]
    assert len(lines) <= 16


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
