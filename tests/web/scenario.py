"""A registry as it looks after some weeks of work, for the pictures of the README and for looking at the pages.

Three people and a nightly job work on four models. `churn` has a long line, with metrics by step, artifacts and runs;
`features` is what `churn` was made from.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Any

import grpc
from grpc_calls import PROJECT, Calls
from web.http_client import link, number

from tallymark.v1 import artifact_pb2, metric_pb2, model_pb2, model_registry_pb2, run_pb2, run_registry_pb2

VERSIONS = 41
FAILED = 22
CARD = """Who will **leave** within thirty days.

- trained nightly on the events of the last twelve weeks
- the threshold is chosen for a precision of 0.8 on the holdout

| segment | AUC |
|---|---|
| monthly | 0.93 |
| yearly | 0.88 |

See [the decision record](https://example.com/decisions/17).
"""
WORDS = (
    "Baseline: **logistic regression** on the contract alone.",
    "Adds calls to the help line, which moved precision by *two points*.",
    "Gradient boosting, `max_depth=6`.\n\nThe first one that beats the rule of thumb on yearly contracts.",
)


class As:
    """Adds the actor to each call."""

    def __init__(self) -> None:
        self.who = "ana"

    def __call__(self, channel: grpc.Channel) -> grpc.Channel:
        return grpc.intercept_channel(channel, _Saying(self))


class _Saying(grpc.UnaryUnaryClientInterceptor):
    def __init__(self, speaker: As) -> None:
        self._speaker = speaker

    def intercept_unary_unary(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        details = details._replace(metadata=(*(details.metadata or ()), ("tallymark-actor", self._speaker.who)))
        return continuation(details, request)


def text(value: str) -> model_pb2.MetadataValue:
    return model_pb2.MetadataValue(text=value)


def digest(of: int) -> str:
    return f"sha256:{hashlib.sha256(str(of).encode()).hexdigest()}"


def furnish(channel: grpc.Channel) -> None:
    """Create the scenario in the registry."""
    speaker = As()
    calls = Calls(speaker(channel))
    speaker.who = "kim"
    calls.create_model("features", description="Features of customers, by week.", tags=["data", "growth"])
    for week in range(1, 7):
        calls.create_version("features", f"2026-w{40 + week}", metadata={"rows": number(2_000_000 + 31_000 * week)})
        link(calls, "features", week, "customers", uri=f"s3://lake/features/w{40 + week}.parquet", format="parquet",
             digest=digest(week), size_bytes=310_000_000 + 1_000_003 * week)  # fmt: skip
    calls.set_stage("features", 6, model_pb2.STAGE_PRODUCTION)
    _churn(calls, speaker)
    speaker.who = "bo"
    calls.create_model("fraud", description="Transactions that want a second look.", tags=["payments", "risk"])
    for index in range(17):
        facts = {"recall": number(0.58 + 0.3 * (1 - math.exp(-index / 6)) + 0.012 * math.sin(index * 3))}
        calls.create_version("fraud", "" if index % 4 else f"v{index // 4 + 1}", metadata=facts, tags=["gbm"])
    calls.set_stage("fraud", 12, model_pb2.STAGE_PRODUCTION, reason="quarterly review")
    calls.set_stage("fraud", 16, model_pb2.STAGE_STAGING)
    speaker.who = "ana"
    calls.create_model("uplift", tags=["growth"])
    calls.create_version("uplift")
    calls.create_version("uplift", metadata={"qini": number(0.071)})
    calls.create_model("demand-forecast", description="Orders by warehouse and day.", tags=["logistics"])


def _churn(calls: Calls, speaker: As) -> None:
    speaker.who = "ana"
    calls.models.CreateModel(
        model_registry_pb2.CreateModelRequest(
            parent=PROJECT,
            model_id="churn",
            model=model_pb2.Model(
                description=CARD,
                license="Internal use",
                audience="The retention team, and whoever is on call for it.",
                limitations="Not for customers of less than four weeks.",
                tags=["growth", "team=retention"],
            ),
        )
    )
    for at in range(1, VERSIONS + 1):
        _version(calls, speaker, at)
    speaker.who = "bo"
    for at, reason in ((6, "first"), (15, "better on yearly contracts"), (31, "A/B test won"), (38, "weekly release")):
        calls.set_stage("churn", at, model_pb2.STAGE_PRODUCTION, reason=reason, force=True)
    calls.set_stage("churn", 40, model_pb2.STAGE_STAGING, reason="shadow traffic until Friday")
    calls.set_alias("churn", 38, "champion")
    calls.set_alias("churn", 41, "challenger")
    for gone in (9, 23):
        request = model_registry_pb2.DeleteModelVersionRequest(name=f"{PROJECT}/models/churn/versions/{gone}")
        calls.models.DeleteModelVersion(request)


def _version(calls: Calls, speaker: As, at: int) -> None:
    if at % 5 == 0 or at in (1, 38):
        speaker.who = "bo" if at % 2 else "ana"
        calls.create_version("churn", f"1.{at}.0", description=WORDS[at % 3], metadata=_facts(at), tags=["release"])
    else:
        speaker.who = "nightly"
        _nightly(calls, f"train-{1080 + at}", at)
    if at > VERSIONS - 5:
        _curves(calls, at)
    week = min(6, at // 7 + 1)
    link(calls, "churn", at, "customers", role=artifact_pb2.ARTIFACT_ROLE_USED, digest=digest(week), format="parquet",
         uri=f"s3://lake/features/w{40 + week}.parquet", size_bytes=310_000_000 + 1_000_003 * week)  # fmt: skip
    link(calls, "churn", at, "classifier", uri=f"s3://models/churn/{at}/classifier.skops", format="skops",
         type=artifact_pb2.ARTIFACT_TYPE_MODEL, digest=digest(1000 + at), size_bytes=1_482_311 + 977 * at)  # fmt: skip
    link(calls, "churn", at, "report", uri=f"s3://models/churn/{at}/report.html", size_bytes=48_120 + at)


def _facts(at: int) -> dict[str, model_pb2.MetadataValue]:
    auc = 0.79 + 0.15 * (1 - math.exp(-at / 14)) + 0.009 * math.sin(at * 2.1)
    return {
        "auc": number(round(auc, 4)),
        "log_loss": number(round(0.62 - auc / 3, 4)),
        "precision@0.8": number(round(0.6 + auc / 4, 4)),
        "rows": number(2_000_000 + 31_000 * at),
        "schema": text("tenure: double, plan: string, calls: int32" + (", region: string" if at > 30 else "")),
        "framework": text("lightgbm 4.5" if at > 20 else "scikit-learn 1.7"),
        "calibrated": model_pb2.MetadataValue(flag=at % 3 == 0),
        "report": model_pb2.MetadataValue(uri=f"https://reports.example.com/churn/{at}"),
    }


def _nightly(calls: Calls, run: str, at: int) -> None:
    parameters = {"rounds": number(400), "lr": number(0.05), "seed": number(at)}
    calls.runs.StartRun(
        run_registry_pb2.StartRunRequest(
            parent=PROJECT,
            run_id=run,
            run=run_pb2.Run(
                pipeline="training", host="gpu-03", user="ml", commit=digest(at)[7:47], parameters=parameters
            ),
            config=model_pb2.ModelConfig(model="churn"),
        )
    )
    calls.ensure("features", version=f"2026-w{40 + min(6, at // 7 + 1)}", run=run)
    _steps(calls, run, at)
    calls.log_metadata("churn", at, **_facts(at))
    failed = at == FAILED
    outcome = model_pb2.RUN_STATE_FAILED if failed else model_pb2.RUN_STATE_SUCCEEDED
    calls.finish_run(run, outcome, "out of memory in fit" if failed else "")


def _steps(calls: Calls, run: str, at: int) -> None:
    for place, name in enumerate(("load", "split", "fit", "evaluate")):
        step = run_registry_pb2.StartStepRequest(
            parent=f"{PROJECT}/runs/{run}",
            step_id=f"{place}-{name}",
            step=run_pb2.RunStep(display_name=name, model_version=f"{PROJECT}/models/churn/versions/{at}"),
        )
        calls.runs.StartStep(step)
        failed = at == FAILED and name == "fit"
        calls.runs.FinishStep(
            run_registry_pb2.FinishStepRequest(
                name=f"{PROJECT}/runs/{run}/steps/{place}-{name}",
                state=model_pb2.RUN_STATE_FAILED if failed else model_pb2.RUN_STATE_SUCCEEDED,
                error="out of memory" if failed else "",
            )
        )
        if failed:
            return


def _curves(calls: Calls, at: int) -> None:
    points = []
    for step in range(0, 400, 4):
        noise = 0.006 * math.sin(step * 1.7 + at)
        loss = 0.5 * math.exp(-step / (80 + at)) + 0.21
        points.append(metric_pb2.MetricPoint(key="train_loss", step=step, value=loss + noise))
        points.append(
            metric_pb2.MetricPoint(key="holdout_loss", step=step, value=loss + 0.03 + step / 9000 + noise / 2)
        )
    request = model_registry_pb2.LogMetadataRequest(name=f"{PROJECT}/models/churn/versions/{at}", points=points)
    calls.models.LogMetadata(request)
