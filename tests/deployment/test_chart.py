"""The Helm chart, the compose file and the unit of systemd: they render, are valid, and leave no door open."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from clients.test_go import go

import tallymark
from cached_folders import ROOT, cached_folder
from system_programs import program
from tallymark_server.serve_command import serve

DEPLOY = ROOT / "service/deploy"
CHART = DEPLOY / "chart"
HELM = "helm.sh/helm/v3/cmd/helm@v3.22.0"
# The oldest and the newest Kubernetes whose objects are checked.
VERSIONS = ("1.29.0", "1.37.0")

# Helm is compiled once on a new machine.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def helm() -> Iterator[Path]:
    """Compile Helm from the module proxy, and return the command."""

    def make(folder: Path) -> None:
        with go() as command:
            environment = {**os.environ, "GOBIN": str(folder), "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
            subprocess.run([command, "install", HELM], check=True, env=environment, capture_output=True, timeout=850)

    with cached_folder("helm", [HELM], make, shared=True) as folder:
        yield folder / "helm"


def run(helm: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([helm, *words], capture_output=True, text=True, check=False)


def rendered(helm: Path, *words: str | Path, version: str = VERSIONS[-1]) -> dict[str, dict[str, Any]]:
    """Return the objects that the chart renders, by kind and name. Each is checked against the API of Kubernetes."""
    done = run(helm, "template", "t", CHART, "--kube-version", version, *words)
    assert done.returncode == 0, done.stderr
    objects = [each for each in yaml.safe_load_all(done.stdout) if each]
    for each in objects:
        # The API of the operator of Prometheus is not part of Kubernetes.
        if each["kind"] != "ServiceMonitor":
            kubernetes_validate.validate(each, version, strict=True)
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in objects}


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
@pytest.mark.parametrize("version", VERSIONS)
def test_the_chart_renders_what_kubernetes_accepts(helm: Path, engine: str, version: str) -> None:
    """With each engine, the chart has no lint, and each object fits the API of the oldest and newest Kubernetes."""
    values = CHART / f"ci/{engine}-values.yaml"
    lint = run(helm, "lint", "--strict", CHART, "--values", values, "--kube-version", version)
    assert lint.returncode == 0, lint.stdout
    objects = rendered(helm, "--values", values, version=version)
    always = {"Service/t-tallymark", "Service/t-tallymark-metrics", "ServiceAccount/t-tallymark"}
    always |= {"NetworkPolicy/t-tallymark", "ServiceMonitor/t-tallymark"}
    own = {
        "sqlite": {"StatefulSet/t-tallymark"},
        "postgres": {"Deployment/t-tallymark", "PodDisruptionBudget/t-tallymark"},
    }
    assert objects.keys() == always | own[engine]


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_a_pod_can_do_no_more_than_it_must(helm: Path, engine: str) -> None:
    """It runs as no user of the machine, on a read-only root, without capabilities or a token of the cluster."""
    objects = rendered(helm, "--values", CHART / f"ci/{engine}-values.yaml")
    workload = objects["StatefulSet/t-tallymark" if engine == "sqlite" else "Deployment/t-tallymark"]
    pod = workload["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert not pod["automountServiceAccountToken"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    probes = [container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")]
    assert [(probe["path"], probe["port"]) for probe in probes] == [
        ("/healthz", "metrics"),
        ("/healthz", "metrics"),
        ("/readyz", "metrics"),
    ]
    assert {mount["mountPath"] for mount in container["volumeMounts"]} >= {"/tmp"}
    volumes = {volume["name"] for volume in pod["volumes"]} | ({"data"} if engine == "sqlite" else set())
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    settings = {option.envvar for option in serve.params if option.envvar} | {
        f"TALLYMARK_{str(option.name).upper()}" for option in serve.params
    }
    assert {variable["name"] for variable in container["env"]} <= settings


def test_a_file_is_served_by_one_replica(helm: Path) -> None:
    """On SQLite there is one replica with a volume of its own, whatever `replicas` says, which is for PostgreSQL."""
    sqlite = rendered(helm, "--set", "trustNetwork=true,replicas=5")["StatefulSet/t-tallymark"]["spec"]
    assert sqlite["replicas"] == 1
    assert sqlite["volumeClaimTemplates"][0]["spec"]["accessModes"] == ["ReadWriteOncePod"]
    postgres = rendered(helm, "--values", CHART / "ci/postgres-values.yaml")["Deployment/t-tallymark"]["spec"]
    assert postgres["replicas"] == 3
    [database] = [e for e in postgres["template"]["spec"]["containers"][0]["env"] if e["name"] == "TALLYMARK_DB"]
    assert database["valueFrom"]["secretKeyRef"] == {"name": "database", "key": "url"}


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ("replicas=2", "set tls.secretName, with access control, or trustNetwork=true"),
        ("trustNetwork=true,storage.engine=postgres", "set storage.postgres.secretName"),
        ("trustNetwork=true,storage.engine=oracle", "storage.engine"),
        ("trustNetwork=true,backups.every=hourly", "backups.every"),
        ("trustNetwork=true,replica=2", "additional properties 'replica' not allowed"),
        ("trustNetwork=true,settings.MAX_WAITING=2", "settings"),
    ],
)
def test_values_that_make_no_sense_are_refused(helm: Path, values: str, why: str) -> None:
    """The chart does not render, and says which value is wrong."""
    done = run(helm, "template", "t", CHART, "--kube-version", VERSIONS[-1], "--set", values)
    assert done.returncode != 0
    assert why in done.stderr.replace("/", ".")


def test_the_chart_is_of_this_version() -> None:
    """The chart installs the image of the version that this checkout is, or becomes."""
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert about["version"] == about["appVersion"] == tallymark.__version__.removesuffix(".dev0")


def test_only_who_may_reaches_a_pod(helm: Path) -> None:
    """The network policy opens the ports of calls to callers, and that of the metrics to monitoring."""
    objects = rendered(helm, "--set", "trustNetwork=true")
    calls, metrics = objects["NetworkPolicy/t-tallymark"]["spec"]["ingress"]
    assert (calls["from"], metrics["from"]) == ([{"podSelector": {}}], [{"podSelector": {}}])
    assert [port["port"] for port in (*calls["ports"], *metrics["ports"])] == ["grpc", "http", "metrics"]
    assert [port["name"] for port in objects["Service/t-tallymark"]["spec"]["ports"]] == ["grpc", "http"]


def test_the_unit_of_systemd_is_sound_and_confined(tmp_path: Path) -> None:
    """systemd accepts the unit, and rates what a service that is taken over could do as little."""
    analyze = program("systemd-analyze", packages=("systemd",))
    unit = tmp_path / "tallymark.service"
    installed = str(Path(sys.executable).with_name("tallymark"))
    unit.write_text((DEPLOY / "tallymark.service").read_text().replace("/opt/tallymark/bin/tallymark", installed))
    verified = subprocess.run([analyze, "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    security = [analyze, "security", "--offline=true", "--threshold=20", "--no-pager", str(unit)]
    rated = subprocess.run(security, capture_output=True, text=True, check=False)
    assert rated.returncode == 0, rated.stdout


def test_the_compose_file_opens_no_port_to_other_machines() -> None:
    """Its services are confined, listen on this machine alone, and use settings that exist."""
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    own = [service for service in services.values() if service["image"].startswith("tallymark:")]
    assert len(own) == 2
    settings = {f"TALLYMARK_{str(option.name).upper()}" for option in serve.params}
    for service in own:
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert service["environment"].keys() <= settings
    assert not [service for service in services.values() if service not in own and "ports" in service]
