"""What a client in any language does with the service: it reports that as JSON, and here is what it must have found."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import google.rpc
from grpc_calls import DEADLINE, Calls

from cached_folders import ROOT
from tallymark.testing import Server
from tallymark.v1 import event_log_pb2, project_pb2

HERE = ROOT / "tests/clients"
ACTOR = "Zoë Ørsted"
CODES = {4: "deadline_exceeded", 5: "not_found"}
CONTRACT = sorted((ROOT / "protos/tallymark").rglob("*.proto"))


def ingredients(folder: Path) -> list[str]:
    """All of which the clients in the folder are made."""
    own = sorted(path for path in folder.rglob("*") if path.is_file())
    return [path.read_text() for path in [*own, *CONTRACT]]


def generate(folder: Path, path: Path, **environment: str) -> None:
    """Generate in the folder what its buf.gen.yaml says, by programs that are found on the path first."""
    shutil.copytree(ROOT / "protos/tallymark", folder / "protos/tallymark", dirs_exist_ok=True)
    # Errors travel as messages of Google's, which every client needs or brings along.
    details = Path(google.rpc.__path__[0]) / "error_details.proto"
    (folder / "protos/google/rpc").mkdir(parents=True, exist_ok=True)
    shutil.copy(details, folder / "protos/google/rpc")
    found = {**os.environ, "PATH": f"{path}{os.pathsep}{os.environ['PATH']}", **environment}
    buf = Path(sys.executable).with_name("buf")
    run(buf, "generate", folder=folder, environment=found)


def run(
    *command: str | Path, folder: Path | None = None, environment: dict[str, str] | None = None, seconds: int = 800
) -> str:
    """What the command prints; what it complains of is the message when it fails."""
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=seconds
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


def project_for(calls: Calls, kind: str) -> str:
    """A new project of that name, in which no other client leaves anything."""
    request = project_pb2.CreateProjectRequest(project_id=kind)
    return calls.models.CreateProject(request, timeout=DEADLINE).name


def check(told: dict[str, Any], calls: Calls, project: str) -> None:
    """The client has found what is there."""
    events = calls.log.ListEvents(event_log_pb2.ListEventsRequest(parent=project), timeout=DEADLINE).events
    revisions = [event.revision for event in events]
    assert told["first"] == {"number": 1, "creator": ACTOR}
    assert told["production"] == 2
    assert (told["watched"], told["resumed"]) == (revisions[:3], revisions[3:4])
    refused = told["refused"]
    assert CODES.get(refused["code"], refused["code"]) == "not_found"
    assert (refused["reason"], refused["domain"]) == ("VERSION_NOT_FOUND", "tallymark.dev")
    assert refused["metadata"] == {"project": project.removeprefix("projects/"), "model": "churn", "version": "9"}
    assert CODES.get(told["late"], told["late"]) == "deadline_exceeded"
    request = event_log_pb2.ExportRequest(parent=project)
    exported = b"".join(message.lines for message in calls.log.Export(request, timeout=DEADLINE))
    assert told["exported"] == hashlib.sha256(exported).hexdigest()


__all__ = ["ACTOR", "HERE", "Server", "check", "generate", "ingredients", "project_for", "run"]
