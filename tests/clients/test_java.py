"""A client in Java, of nothing but the contract and public packages: grpc-java."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from grpc_calls import Calls
from clients.scenario import HERE, check, ingredients, project_for, run

from cached_folders import ROOT, kept
from system_programs import program
from tallymark.testing import Server

# On a fresh machine Java, Maven and the packages are downloaded first.
pytestmark = pytest.mark.timeout(900)

FOLDER = HERE / "java"
PACKAGES = ("maven", "default-jdk-headless")


@pytest.fixture(scope="module")
def client() -> Iterator[list[str | Path]]:
    """The command that runs the client, which Maven makes from the contract with packages of fixed versions."""
    maven, java = program("mvn", packages=PACKAGES), program("java", packages=PACKAGES)
    # Maven compiles by what belongs to a JDK, which a mere runtime lacks.
    program("javac", packages=PACKAGES)
    with kept("maven", [(FOLDER / "pom.xml").read_text()], lambda _: None) as repository:

        def make(folder: Path) -> None:
            shutil.copytree(FOLDER, folder, dirs_exist_ok=True)
            shutil.copytree(ROOT / "protos/tallymark", folder / "protos/tallymark")
            goals = ["compile", "dependency:build-classpath", "-Dmdep.outputFile=classpath.txt"]
            settings = ["--batch-mode", "--quiet", f"-Dmaven.repo.local={repository}"]
            # A compiler that ends soon is not worth its optimizing.
            environment = {**os.environ, "MAVEN_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}
            run(maven, *settings, *goals, folder=folder, environment=environment)

        with kept("clients-java", ingredients(FOLDER), make) as folder:
            classpath = f"{folder / 'target/classes'}{os.pathsep}{(folder / 'classpath.txt').read_text()}"
            yield [
                java,
                "-Dfile.encoding=UTF-8",
                "-Dstdout.encoding=UTF-8",
                "-cp",
                classpath,
                "dev.tallymark.client.Client",
            ]


def test_a_client_in_java_calls(serving: Server, asking: Calls, client: list[str | Path]) -> None:
    """grpc-java does all of the contract, with classes that are called as the contract says."""
    project = project_for(asking, "grpc-java")
    check(json.loads(run(*client, serving.address, project)), asking, project)
