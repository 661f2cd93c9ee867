"""Convert messages to commands and queries."""

from tallymark_server.rpc.commands.artifacts import link_artifact, unlink_artifact
from tallymark_server.rpc.commands.erasures import erase
from tallymark_server.rpc.commands.fields import read_at
from tallymark_server.rpc.commands.models import (
    create_model,
    delete_model,
    purge_model,
    rename_model,
    undelete_model,
    update_model,
)
from tallymark_server.rpc.commands.projects import create_project
from tallymark_server.rpc.commands.proofs import export, proof
from tallymark_server.rpc.commands.queries import cursor, depth, direction, interest, kinds, list_options, scope
from tallymark_server.rpc.commands.runs import finish_run, finish_step, report_problems, start_run, start_step
from tallymark_server.rpc.commands.versions import (
    create_version,
    create_versions,
    delete_alias,
    delete_version,
    ensure_version,
    log_metadata,
    purge_version,
    set_alias,
    set_stage,
    undelete_version,
    update_version,
)

__all__ = [
    "create_model",
    "create_project",
    "create_version",
    "create_versions",
    "cursor",
    "delete_alias",
    "delete_model",
    "delete_version",
    "depth",
    "direction",
    "ensure_version",
    "erase",
    "export",
    "finish_run",
    "finish_step",
    "interest",
    "kinds",
    "link_artifact",
    "list_options",
    "log_metadata",
    "proof",
    "purge_model",
    "purge_version",
    "read_at",
    "rename_model",
    "report_problems",
    "scope",
    "set_alias",
    "set_stage",
    "start_run",
    "start_step",
    "undelete_model",
    "undelete_version",
    "unlink_artifact",
    "update_model",
    "update_version",
]
