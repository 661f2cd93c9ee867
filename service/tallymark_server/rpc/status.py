"""Map errors to statuses: the only module that names status codes."""

from __future__ import annotations

from datetime import timedelta

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from tallymark_server.domain import errors

DOMAIN = "tallymark.dev"
# The status of the standard health service for an unknown service.
UNKNOWN_SERVICE = grpc.StatusCode.NOT_FOUND

# A leaf has the code of its branch, the first entry in its method resolution order.
_CODES: dict[type, grpc.StatusCode] = {
    errors.InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.Refused: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Conflict: grpc.StatusCode.ABORTED,
    errors.OutOfRange: grpc.StatusCode.OUT_OF_RANGE,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.ResourceExhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.Forbidden: grpc.StatusCode.PERMISSION_DENIED,
    errors.Unimplemented: grpc.StatusCode.UNIMPLEMENTED,
    errors.DataLoss: grpc.StatusCode.DATA_LOSS,
    errors.Internal: grpc.StatusCode.INTERNAL,
}


def code_of(error: errors.RegistryError) -> grpc.StatusCode:
    """Return the status code of the error's branch."""
    return next(_CODES[kind] for kind in type(error).__mro__ if kind in _CODES)


def code_name(error: Exception) -> str:
    """Return the name of the error's status code, which is INTERNAL unless the registry raised it."""
    return (code_of(error) if isinstance(error, errors.RegistryError) else grpc.StatusCode.INTERNAL).name


def details_of(error: errors.RegistryError) -> tuple[tuple[str, bytes], ...]:
    """Return the trailing metadata with the error's reason and metadata, as google.rpc.Status."""
    details: list[Message] = [ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)]
    match error:
        case errors.InvalidArgument() if "field" in error.metadata:
            violation = BadRequest.FieldViolation(field=error.metadata["field"], description=str(error))
            details.append(BadRequest(field_violations=[violation]))
        case errors.Unavailable():
            delay = Duration()
            delay.FromTimedelta(timedelta(milliseconds=error.retry_after_ms))
            details.append(RetryInfo(retry_delay=delay))
        case _:
            pass
    status = Status(code=code_of(error).value[0], message=str(error), details=[_packed(detail) for detail in details])
    return (("grpc-status-details-bin", status.SerializeToString()),)


def _packed(message: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed
