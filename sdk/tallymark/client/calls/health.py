"""The call of the standard health service of gRPC."""

from __future__ import annotations

import grpc

from tallymark.client.calls.call import Call

# The answer that the service is not ready: field 1, with the status NOT_SERVING. Its messages are part of no
# dependency of the SDK.
_NOT_SERVING = b"\x08\x02"


class _HealthStub:
    """The method, with messages as bytes. An empty request is about the service as a whole."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.Check: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/grpc.health.v1.Health/Check")


def is_ready() -> Call[bool]:
    """Return the call that says whether the service takes changes."""
    return Call(_HealthStub, "Check", b"", lambda answer: answer != _NOT_SERVING)
