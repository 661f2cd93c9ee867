"""A real MLflow: its server in a process of its own, and a registry in it as people leave one behind.

    python -m foreign.mlflow_server URI

fills the registry, and prints what MLflow then says is in it, so that nothing of MLflow is loaded by the tests.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

MANY = 101
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true"}
QUOTED = ("it's @ last", 'it\'s a "quote"')


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """The URI of a server on `mlflow.db` in the folder."""
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"),
        *("--default-artifact-root", str(folder / "artifacts"), "--host", "127.0.0.1", "--port", "0"),
        *("--workers", "1", "--gunicorn-opts", "--no-control-socket"),
    ]
    environment = {**os.environ, **QUIET, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        # It leaves a database of its own wherever it is started.
        cwd=folder,
        start_new_session=True,
    )
    assert process.stderr
    try:
        told = []
        for line in process.stderr:
            told.append(line)
            if found := re.search(r"Listening at: (http://\S+)", line):
                break
        else:
            raise AssertionError("MLflow's server did not start:\n" + "".join(told))
        yield found[1]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def filled(uri: str) -> dict[str, Any]:
    """What MLflow says is in the registry, after it was filled."""
    command = [sys.executable, "-W", "ignore", "-m", "importers.mlflow_server", uri]
    settings = {"PYTHONPATH": str(Path(__file__).parents[1]), "MLFLOW_ALLOW_FILE_STORE": "true"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=90, env={**os.environ, **QUIET, **settings}
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def fill(client: Any) -> None:
    """A model with a history, and others that are hard to take over."""
    from mlflow.entities import Metric, Param, RunTag

    experiment = client.create_experiment("nightly")
    run = client.create_run(experiment, start_time=1_700_000_000_000, tags={"mlflow.user": "ada"}).info.run_id
    points = [("auc", 0.5, 1, 0), ("auc", 0.6, 2, 1), ("auc", 0.7, 3, 1), ("loss", 9.0, 1, 0), ("early", 1.0, 1, -1)]
    metrics = [Metric(key, value, 1_700_000_000_000 + at * 1000, step) for key, value, at, step in points]
    tags = [RunTag("mlflow.source.git.commit", "c0ffee"), RunTag("host", "gpu-1")]
    client.log_batch(run, metrics=metrics, params=[Param("depth", "3")], tags=tags)
    client.set_terminated(run, "FINISHED", end_time=1_700_000_060_000)
    failed = client.create_run(experiment, start_time=1_700_000_100_000).info.run_id
    client.set_terminated(failed, "FAILED", end_time=1_700_000_110_000)

    client.create_registered_model("churn", tags={"team": "growth", "gold": ""}, description="who leaves")
    client.create_model_version("churn", "s3://bucket/1", run_id=run, tags={"auc": "told", "ok": ""}, description="one")
    client.create_model_version("churn", "s3://bucket/2", run_id=run)
    client.create_model_version("churn", "s3://bucket/3", run_id=failed)
    client.create_model_version("churn", "s3://bucket/4")
    client.create_model_version("churn", "s3://bucket/5", run_id="0" * 32)
    client.delete_model_version("churn", "3")
    for number, stage in (("1", "Archived"), ("2", "Production"), ("4", "Production"), ("5", "Staging")):
        client.transition_model_version_stage("churn", number, stage)
    for alias, number in (("champion", "2"), ("shadow", "2"), ("challenger", "4"), ("production", "5")):
        client.set_registered_model_alias("churn", alias, number)
    for name in QUOTED:
        client.create_registered_model(name)
        client.create_model_version(name, "s3://bucket/6")
    logged = client.create_logged_model(experiment, name="net", params={"rate": "0.1"}, tags={"kind": "dense"})
    client.log_metric(client.create_run(experiment).info.run_id, "acc", 0.9, step=2, model_id=logged.model_id)
    client.create_registered_model("net")
    client.create_model_version("net", f"models:/{logged.model_id}", model_id=logged.model_id)
    for at in range(MANY):
        client.create_registered_model(f"many-{at}")


def told(client: Any) -> dict[str, Any]:
    """Return the models with their versions, as MLflow's client returns them."""
    from mlflow.exceptions import MlflowException

    models: dict[str, Any] = {}
    for name in ("churn", *QUOTED):
        model = client.get_registered_model(name)
        versions = {}
        for number in range(1, 6):
            try:
                version = client.get_model_version(name, str(number))
            except MlflowException:
                continue
            times = (version.creation_timestamp, version.last_updated_timestamp)
            versions[number] = {"times": times, "run": version.run_id, "source": version.source}
        times = (model.creation_timestamp, model.last_updated_timestamp)
        models[name] = {"times": times, "versions": versions}
    return models


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    from mlflow import MlflowClient, set_tracking_uri

    # MLflow finds the logged model of a version by this, whatever its client received.
    set_tracking_uri(sys.argv[1])
    mlflow = MlflowClient()
    fill(mlflow)
    if sys.argv[1].startswith("http"):
        # The folders of old have no place for prompts.
        mlflow.register_prompt("greeting", "Hello {{name}}")
    print(json.dumps(told(mlflow)))
