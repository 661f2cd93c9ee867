"""The results of `pip install tallymark` and of `pip install 'tallymark[server]'`."""

from __future__ import annotations

import re
import signal
import subprocess
import urllib.request
import zipfile
from pathlib import Path

import grpc
import pytest

from grpc_calls import Calls, unary_bytes
from virtualenvs import Environment
from cached_folders import ROOT

# On a fresh machine an environment is downloaded first.
pytestmark = pytest.mark.timeout(600)

STUBS = sorted(f"tallymark.v1.{path.stem}" for path in (ROOT / "sdk/tallymark/v1").glob("*_pb2*.py"))
LIGHT = {"tallymark", "PyYAML", "click", "googleapis-common-protos", "grpcio", "protobuf"}


def test_the_wheel_holds_both_packages_and_the_licence(wheel: Path) -> None:
    """The wheel has every file of both packages and its metadata, but no examples, guides or deployment files."""
    folders = (ROOT / "sdk", ROOT / "service")
    due = {path.relative_to(folder).as_posix() for folder in folders for path in folder.rglob("*") if path.is_file()}
    due = {path for path in due if "__pycache__" not in path and not path.startswith(("examples/", "deploy/"))}
    due -= {"README.md", "postgres.md"}
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    description = {path for path in held if path.split("/")[0].endswith(".dist-info")}
    assert held - description == due
    assert "LICENSE" in {path.rsplit("/", 1)[-1] for path in description}
    assert "tallymark/py.typed" in due, "without it type checkers take no notice of our types"


def test_the_sdk_has_few_dependencies(light: Environment) -> None:
    """`pip install tallymark` installs gRPC, protobuf and the command line, and no dependency of the service."""
    assert light.versions.keys() - {"typing_extensions"} == LIGHT, light


def test_importing_the_sdk_loads_neither_grpc_nor_the_service(light: Environment) -> None:
    """`import tallymark` imports neither grpc, protobuf nor click, so that importing it is fast."""
    code = "import sys, tallymark; print(*sorted(name.partition('.')[0] for name in sys.modules))"
    found = light.run("python", "-c", code)
    assert found.returncode == 0, f"{light}\n{found.stderr}"
    loaded = set(found.stdout.split())
    assert "tallymark" in loaded
    assert loaded & {"grpc", "google", "click", "tallymark_server", "aiosqlite", "sqlite3", "asyncio"} == set(), light


def test_the_stubs_import_without_a_warning(light: Environment) -> None:
    """The checked-in stubs work with the oldest and the newest allowed protobuf and grpcio."""
    assert STUBS
    found = light.run("python", "-W", "error", "-c", f"import {', '.join(STUBS)}")
    assert found.returncode == 0, f"{light}\n{found.stderr}"


def test_the_environments_have_the_oldest_and_the_newest_versions(light: Environment) -> None:
    """The two environments have both ends of the range of allowed versions."""
    assert light.versions["protobuf"].startswith({"oldest": "6.30.", "newest": "7."}[light.age]), light


def test_help_works_without_the_service(light: Environment) -> None:
    """`tallymark --help` works without the service, and lists its commands."""
    found = light.run("tallymark", "--help")
    assert found.returncode == 0, f"{light}\n{found.stderr}"
    assert "serve" in found.stdout


@pytest.mark.parametrize("command", ["serve", "verify"])
def test_commands_of_a_missing_service_say_what_to_install(light: Environment, command: str) -> None:
    """Without the service, `serve` and `verify` fail with one sentence that says how to install it."""
    found = light.run("tallymark", command)
    assert found.returncode != 0, light
    assert found.stdout == ""
    assert len(found.stderr.splitlines()) == 1, f"{light}\n{found.stderr}"
    assert "pip install 'tallymark[server]'" in found.stderr


def check_health(channel: grpc.Channel) -> None:
    """Check the health of the server. Only newer libraries have the method List."""
    health = {name: unary_bytes(channel, f"/grpc.health.v1.Health/{name}") for name in ("Check", "List")}
    assert health["Check"](b"", timeout=30) == b"\x08\x01"
    try:
        assert b"tallymark.v1.ModelRegistry" in health["List"](b"", timeout=30)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNIMPLEMENTED  # noqa: PT017 - only the newest have it


def test_the_service_runs_from_the_wheel(full: Environment, tmp_path: Path) -> None:
    """With what `pip install 'tallymark[server]'` installs, the service starts, serves and stops."""
    command: list[str | Path] = [
        full.bin / "tallymark",
        "serve",
        "--db",
        tmp_path / "tallymark.db",
        "--listen",
        "127.0.0.1:0",
    ]
    command += ["--http", "127.0.0.1:0"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            announced = re.search(r" on (\S+)$", server.stdout.readline().strip())
            assert announced, f"{full}\n{server.communicate()[1]}"
            with grpc.insecure_channel(announced.group(1)) as channel:
                calls = Calls(channel)
                calls.create_model("churn")
                assert calls.create_version("churn").number == 1, full
                check_health(channel)
            dashboard = server.stdout.readline().split()[-1]
            with urllib.request.urlopen(dashboard, timeout=30) as page:
                assert "churn" in page.read().decode(), full
            server.send_signal(signal.SIGTERM)
            errors = server.communicate()[1]
        finally:
            server.kill()
    assert server.returncode == 0, f"{full}\n{errors}"
