"""Every page of the dashboard by its address, for the registry that the tests create, and what opens over pages."""

from __future__ import annotations

from web.http_client import furnished, number
from grpc_calls import PROJECT, Calls

from tallymark.v1 import model_registry_pb2, project_pb2

CHURN = "/models/churn"
PAGES = {
    "models": "/",
    "models found": "/?q=chu&sort=versions",
    "bad filter": "/?q=tags+%3D",
    "model": CHURN,
    "versions found": f"{CHURN}?q=metadata.auc+%3E+0.72&sort=-metric",
    "version": f"{CHURN}/versions/5",
    "metrics": f"{CHURN}/versions/5?tab=metrics",
    "metadata": f"{CHURN}/versions/5?tab=metadata",
    "history": f"{CHURN}/versions/3?tab=history",
    "raw": f"{CHURN}/versions/3?tab=raw",
    "made by a run": f"{CHURN}/versions/13",
    "curves": f"{CHURN}/versions/13?tab=metrics",
    "artifacts": f"{CHURN}/versions/13?tab=artifacts",
    "no artifacts": f"{CHURN}/versions/5?tab=artifacts",
    "lineage": f"{CHURN}/versions/13?tab=lineage",
    "lineage of one": f"{CHURN}/versions/5?tab=lineage",
    "compare": f"{CHURN}/compare?number=3&number=5&number=13",
    "activity": "/activity",
    "runs": "/runs",
    "runs found": "/runs?q=state+%3D+running",
    "run": "/runs/train-7",
    "projects": "/projects",
    "moment": f"{CHURN}/at",
    "settings": "/settings",
    "stage": f"{CHURN}/versions/5/stage?to=production",
    "aliases": f"{CHURN}/versions/5/aliases",
    "tags": f"{CHURN}/versions/5/tags",
    "description": f"{CHURN}/versions/5/describe",
    "card": f"{CHURN}/describe",
    "delete": f"{CHURN}/versions/3/delete",
    "rollback": f"{CHURN}/rollback",
    "done": f"{CHURN}/versions/3?done=17",
    "nothing": "/nothing",
    "no model": "/models/nobody",
}
SELDOM = (
    "/",
    "/?deleted=yes",
    "/?q=zzz",
    "/models/empty",
    "/models/gone",
    "/models/gone/undelete",
    "/models/long",
    f"{CHURN}?q=zzz",
    f"{CHURN}?q=tags+%3D",
    f"{CHURN}?deleted=yes",
    f"{CHURN}/versions/9",
    f"{CHURN}/versions/9/undelete",
    f"{CHURN}/compare?number=3&number=3",
    f"{CHURN}/compare?number=3&number=5&only=differences",
    f"{CHURN}/at?time=2001-01-01T00:00",
    "/models/empty/rollback",
    "/models/long/versions/2?tab=metrics",
    "/activity?actor=nobody",
    "/runs",
    "/runs?q=zzz",
    "/runs?q=state+%3D",
    "/runs/nobody",
    "/runs/short",
)
# What is clicked to open something over a page.
OPENED = {
    "/activity": "details.projects summary",
    CHURN: "a:text-is('Roll back')",
    f"{CHURN}/versions/5": "a:text-is('Promote')",
    f"{CHURN}/versions/6": "summary:text-is('Copy')",
    f"{CHURN}/versions/7": "summary:text-is('Change')",
}


def seldom(calls: Calls) -> None:
    """What the pages of SELDOM and OPENED are about."""
    furnished(calls)
    calls.models.CreateProject(project_pb2.CreateProjectRequest(project_id="lab"))
    calls.create_model("empty")
    calls.create_model("gone")
    calls.models.DeleteModel(model_registry_pb2.DeleteModelRequest(name=f"{PROJECT}/models/gone"))
    request = model_registry_pb2.DeleteModelVersionRequest(name=f"{PROJECT}/models/churn/versions/9")
    calls.models.DeleteModelVersion(request)
    calls.start_run("short", pipeline="")
    calls.create_model("long", tags=[f"tag-{at}" for at in range(30)])
    for value in (0.1, 1e-9):
        calls.create_version("long", "v" * 200 + str(value), metadata={"k" * 200: number(value)})
