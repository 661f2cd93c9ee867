"""Real releases of MLflow, each in an environment of its own, with a registry in them as people leave one behind.

    python mlflow_releases.py URI

fills a store of whichever MLflow runs it, of the first release as of the newest.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import venv
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

# Each with what its server needs beside it, at versions that it can live with.
_COMMON = ["SQLAlchemy<2.1", "alembic", "flask<4", "gunicorn<24", "querystring_parser", "Jinja2", "setuptools<80"]
RELEASES = {
    "1.30.1": ["SQLAlchemy<2", "alembic", "flask<3", "gunicorn<24", "prometheus-flask-exporter", "numpy<2", "pandas<2",
               "querystring_parser", "Jinja2", "setuptools<80", "protobuf<4"],
    "2.3.2": [*_COMMON, "flask<3", "numpy<2", "pandas<3", "markdown"],
    "2.16.2": [*_COMMON, "pandas<3", "graphene", "markdown"],
    "2.22.1": [*_COMMON, "pandas<3", "graphene"],
    "3.0.1": [*_COMMON, "pandas<3", "graphene"],
}  # fmt: skip
BEGUN = 1_700_000_000_000
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


def make(folder: Path, release: str) -> None:
    """Install the release into a new environment."""
    venv.create(folder, with_pip=True)
    command = [str(folder / "bin/pip"), "install", "--quiet", f"mlflow-skinny=={release}", *RELEASES[release]]
    subprocess.run(command, check=True)


def run(python: Path, uri: str) -> None:
    """Fill the store at the URI, by the MLflow of that Python."""
    command = [str(python), "-W", "ignore", __file__, uri]
    environment = {**os.environ, **QUIET}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr


@contextmanager
def server(python: Path, folder: Path, port: int) -> Iterator[str]:
    """The URI of a server of that Python's MLflow, on `mlflow.db` in the folder."""
    command: list[str | Path] = [
        *(python.with_name("mlflow"), "server", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"),
        *("--default-artifact-root", str(folder / "artifacts"), "--host", "127.0.0.1", "--port", str(port)),
        *("--workers", "1"),
    ]
    environment = {**os.environ, **QUIET, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    log = folder / "server.log"
    with log.open("w") as written:
        process = subprocess.Popen(
            command, stdout=written, stderr=written, env=environment, cwd=folder, start_new_session=True
        )
    try:
        until = time.monotonic() + 90
        while not re.search(r"Listening at: http://\S+", log.read_text()):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def fill(client: Any, mlflow: Any) -> None:
    """Two models with histories, an empty one, and one that has lost its only version."""
    from mlflow.entities import Metric, Param, RunTag

    experiment = client.create_experiment("nightly")
    made = client.create_run(experiment, start_time=BEGUN, tags={"mlflow.user": "ada"}).info.run_id
    metrics = [Metric("auc", 0.5 + at / 10, BEGUN + at * 1000, at) for at in range(5)]
    metrics += [Metric("nothing", float("nan"), BEGUN, 0), Metric("endless", float("inf"), BEGUN, 0)]
    params = [Param("depth", "3"), Param("a/b", "below")]
    client.log_batch(made, metrics=metrics, params=params, tags=[RunTag("host", "gpu-1")])
    client.set_terminated(made, "FINISHED", end_time=BEGUN + 60_000)
    other = client.create_run(experiment, start_time=BEGUN + 1).info.run_id
    client.log_metric(other, "loss", 1.0, timestamp=BEGUN, step=0)
    try:
        client.create_registered_model("churn", tags={"team": "growth", "gold": ""}, description="who leaves")
    except mlflow.exceptions.MlflowException:
        return  # folders of MLflow 1 hold runs alone
    for number in range(1, 7):
        run_id = made if number == 1 else None
        client.create_model_version("churn", f"s3://bucket/{number}", run_id=run_id, description=f"the {number}.")
    client.set_model_version_tag("churn", "1", "auc", "told")
    client.transition_model_version_stage("churn", "2", "Staging")
    for deleted in ("3", "5", "6"):
        client.delete_model_version("churn", deleted)
    if hasattr(client, "set_registered_model_alias"):
        client.set_registered_model_alias("churn", "champion", "1")
        client.set_registered_model_alias("churn", "production", "4")
        client.set_registered_model_alias("churn", "staging", "1")
    client.create_registered_model("empty")
    client.create_registered_model("gone")
    client.create_model_version("gone", "s3://bucket/gone")
    client.delete_model_version("gone", "1")
    if hasattr(client, "create_logged_model"):
        logged = client.create_logged_model(experiment, name="net", params={"rate": "0.1"}, tags={"kind": "dense"})
        client.log_metric(made, "acc", 0.9, step=2, model_id=logged.model_id)
        client.create_registered_model("net")
        client.create_model_version("net", f"models:/{logged.model_id}", model_id=logged.model_id)
    if hasattr(mlflow, "register_prompt"):
        mlflow.register_prompt("greeting", "Hello {{name}}")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    import mlflow

    mlflow.set_tracking_uri(sys.argv[1])
    fill(mlflow.tracking.MlflowClient(sys.argv[1], sys.argv[1]), mlflow)
