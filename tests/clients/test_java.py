"""A client in Java, built from the contract and public packages only: grpc-java."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from grpc_calls import Calls
from clients.scenario import HERE, check, cache_key, project_for, run

from cached_folders import ROOT, cached_folder
from system_programs import program
from tallymark.testing import Server

# On a new machine, Java, Maven and the packages are downloaded first.
pytestmark = pytest.mark.timeout(900)

FOLDER = HERE / "java"
PACKAGES = ("maven", "default-jdk-headless")


@pytest.fixture(scope="module")
def client() -> Iterator[list[str | Path]]:
    """Build the client with Maven, and yield the command that runs it."""
    maven, java = program("mvn", packages=PACKAGES), program("java", packages=PACKAGES)
    # Maven needs the compiler of a JDK, which a runtime environment lacks.
    program("javac", packages=PACKAGES)
    with cached_folder("maven", [(FOLDER / "pom.xml").read_text()], lambda _: None) as repository:

        def make(folder: Path) -> None:
            shutil.copytree(FOLDER, folder, dirs_exist_ok=True)
            shutil.copytree(ROOT / "protos/tallymark", folder / "protos/tallymark")
            goals = ["compile", "dependency:build-classpath", "-Dmdep.outputFile=classpath.txt"]
            settings = ["--batch-mode", "--quiet", f"-Dmaven.repo.local={repository}"]
            # Without the optimizing compiler, a short run of Maven is faster.
            environment = {**os.environ, "MAVEN_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}
            run(maven, *settings, *goals, folder=folder, environment=environment)

        with cached_folder("clients-java", cache_key(FOLDER), make) as folder:
            classpath = f"{folder / 'target/classes'}{os.pathsep}{(folder / 'classpath.txt').read_text()}"
            yield [
                java,
                "-Dfile.encoding=UTF-8",
                "-Dstdout.encoding=UTF-8",
                "-cp",
                classpath,
                "dev.tallymark.client.Client",
            ]


def test_a_client_in_java_calls(shared_server: Server, shared_calls: Calls, client: list[str | Path]) -> None:
    """grpc-java passes the scenario, with the package and class names that the contract sets."""
    project = project_for(shared_calls, "grpc-java")
    check(json.loads(run(*client, shared_server.address, project)), shared_calls, project)
