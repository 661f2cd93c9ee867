"""Errors as responses of HTTP."""

from __future__ import annotations

import base64
import secrets

import structlog
from google.protobuf.descriptor_pool import Default
from google.protobuf.message_factory import GetMessageClass

from tallymark_server.domain.errors import Incident, RegistryError
from tallymark_server.rpc.status import code_of, details_of

# The statuses of the Connect protocol by the name of the code.
HTTP_STATUS = {
    "cancelled": 499,
    "unknown": 500,
    "invalid_argument": 400,
    "deadline_exceeded": 504,
    "not_found": 404,
    "already_exists": 409,
    "permission_denied": 403,
    "resource_exhausted": 429,
    "failed_precondition": 400,
    "aborted": 409,
    "out_of_range": 400,
    "unimplemented": 501,
    "internal": 500,
    "unavailable": 503,
    "unauthenticated": 401,
}

_log = structlog.get_logger()


def code_name(error: RegistryError) -> str:
    """Return the name of the error's status code, in lower case."""
    return code_of(error).name.lower()


def http_status(error: RegistryError) -> int:
    """Return the HTTP status of the error."""
    return HTTP_STATUS[code_name(error)]


def packed_details(error: RegistryError) -> list[tuple[str, bytes]]:
    """Return the details of the error as gRPC sends them: the type and the bytes of each."""
    [(_, status)] = details_of(error)
    message = GetMessageClass(Default().FindMessageTypeByName("google.rpc.Status")).FromString(status)
    return [(detail.type_url.rpartition("/")[2], detail.value) for detail in message.details]  # type: ignore[attr-defined]  # a class made at run time - its fields are those of google.rpc.Status


def as_connect(error: RegistryError) -> dict[str, object]:
    """Return the error in the JSON of the Connect protocol."""
    details = [
        {"type": name, "value": base64.b64encode(value).decode().rstrip("=")} for name, value in packed_details(error)
    ]
    return {"code": code_name(error), "message": str(error), "details": details}


def incident(where: str, error: Exception) -> Incident:
    """Log a defect. Return the error for the caller."""
    found = secrets.token_hex(6)
    _log.error("incident", incident=found, method=where, exc_info=error)
    return Incident(found)
