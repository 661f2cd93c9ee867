"""The scenario that the clients of every language run and report as JSON, and the check of their reports."""

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


def cache_key(folder: Path) -> list[str]:
    """Return the sources of the clients in the folder, and those of the contract."""
    own = sorted(path for path in folder.rglob("*") if path.is_file())
    return [path.read_text() for path in [*own, *CONTRACT]]


def generate(folder: Path, path: Path, **environment: str) -> None:
    """Generate code in the folder as its buf.gen.yaml says, with the plugins in `path`."""
    shutil.copytree(ROOT / "protos/tallymark", folder / "protos/tallymark", dirs_exist_ok=True)
    # Error details are messages of google.rpc; some clients need generated code for them.
    details = Path(google.rpc.__path__[0]) / "error_details.proto"
    (folder / "protos/google/rpc").mkdir(parents=True, exist_ok=True)
    shutil.copy(details, folder / "protos/google/rpc")
    found = {**os.environ, "PATH": f"{path}{os.pathsep}{os.environ['PATH']}", **environment}
    buf = Path(sys.executable).with_name("buf")
    run(buf, "generate", folder=folder, environment=found)


def run(
    *command: str | Path, folder: Path | None = None, environment: dict[str, str] | None = None, seconds: int = 800
) -> str:
    """Run a command, and return its output. If it fails, its errors are the message of the assertion."""
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=seconds
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


def project_for(calls: Calls, kind: str) -> str:
    """Create a project of that name, and return its resource name."""
    request = project_pb2.CreateProjectRequest(project_id=kind)
    return calls.models.CreateProject(request, timeout=DEADLINE).name


def check(report: dict[str, Any], calls: Calls, project: str) -> None:
    """Check the report of a client against the server."""
    events = calls.log.ListEvents(event_log_pb2.ListEventsRequest(parent=project), timeout=DEADLINE).events
    revisions = [event.revision for event in events]
    assert report["first"] == {"number": 1, "creator": ACTOR}
    assert report["production"] == 2
    assert (report["watched"], report["resumed"]) == (revisions[:3], revisions[3:4])
    refused = report["refused"]
    assert CODES.get(refused["code"], refused["code"]) == "not_found"
    assert (refused["reason"], refused["domain"]) == ("VERSION_NOT_FOUND", "tallymark.dev")
    assert refused["metadata"] == {"project": project.removeprefix("projects/"), "model": "churn", "version": "9"}
    assert CODES.get(report["late"], report["late"]) == "deadline_exceeded"
    request = event_log_pb2.ExportRequest(parent=project)
    exported = b"".join(message.lines for message in calls.log.Export(request, timeout=DEADLINE))
    assert report["exported"] == hashlib.sha256(exported).hexdigest()


__all__ = ["ACTOR", "HERE", "Server", "cache_key", "check", "generate", "project_for", "run"]
