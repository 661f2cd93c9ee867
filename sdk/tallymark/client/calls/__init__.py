"""One function for each method of the service, which builds its request and reads its answer.

Nothing here does I/O, so both clients use it. Each change has a request id, so that it can be sent again, by gRPC or by
the program, and still has one effect.

call       `Call`, and what all calls share
models     calls about models; `versions`, `artifacts`, `runs`, `projects`, `log` and `access` have those about these
rollbacks  the choice of the version that a rollback restores
health     whether the service is ready, which only `tallymark doctor` wants to know
recorded   changes that are recorded now and sent later
"""

from tallymark.client.calls.artifacts import get_artifact, lineage, link_artifact, list_artifacts, unlink_artifact
from tallymark.client.calls.call import (
    PAGE_SIZE,
    Call,
    Cursor,
    ExportChunk,
    ListOptions,
    NewVersion,
    Page,
    WatchFilter,
    WatchMessage,
    new_request_id,
    with_validate_only,
)
from tallymark.client.calls.log import erase, export, head, history, list_events, verify, watch
from tallymark.client.calls.models import (
    create_model,
    delete_model,
    get_model,
    list_models,
    purge_model,
    rename_model,
    undelete_model,
    update_model,
)
from tallymark.client.calls.projects import create_project, get_project, list_projects
from tallymark.client.calls.runs import (
    finish_run,
    finish_step,
    get_run,
    heartbeat_run,
    list_runs,
    list_steps,
    report_recording_problems,
    start_run,
    start_step,
)
from tallymark.client.calls.versions import (
    config,
    create_version,
    create_versions,
    delete_alias,
    delete_version,
    ensure_version,
    get_version,
    list_metrics,
    list_versions,
    log_metadata,
    purge_version,
    set_alias,
    set_stage,
    undelete_version,
    update_version,
)

__all__ = [
    "PAGE_SIZE",
    "Call",
    "Cursor",
    "ExportChunk",
    "ListOptions",
    "NewVersion",
    "Page",
    "WatchFilter",
    "WatchMessage",
    "config",
    "create_model",
    "create_project",
    "create_version",
    "create_versions",
    "delete_alias",
    "delete_model",
    "delete_version",
    "ensure_version",
    "erase",
    "export",
    "finish_run",
    "finish_step",
    "get_artifact",
    "get_model",
    "get_project",
    "get_run",
    "get_version",
    "head",
    "heartbeat_run",
    "history",
    "lineage",
    "link_artifact",
    "list_artifacts",
    "list_events",
    "list_metrics",
    "list_models",
    "list_projects",
    "list_runs",
    "list_steps",
    "list_versions",
    "log_metadata",
    "new_request_id",
    "purge_model",
    "purge_version",
    "rename_model",
    "report_recording_problems",
    "set_alias",
    "set_stage",
    "start_run",
    "start_step",
    "undelete_model",
    "undelete_version",
    "unlink_artifact",
    "update_model",
    "update_version",
    "verify",
    "watch",
    "with_validate_only",
]
