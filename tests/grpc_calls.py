"""Calls to a server over the generated stubs, as clients in any language make them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import grpc.aio
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from tallymark.v1 import event_log_pb2, event_pb2, model_pb2, model_registry_pb2, run_pb2, run_registry_pb2
from tallymark.v1.event_log_pb2_grpc import EventLogStub
from tallymark.v1.model_registry_pb2_grpc import ModelRegistryStub
from tallymark.v1.run_registry_pb2_grpc import RunRegistryStub

PROJECT = "projects/default"
DEADLINE = 30.0


class Calls:
    """The generated stubs on one channel, and shortcuts for frequent calls."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self.models = ModelRegistryStub(channel)
        self.runs = RunRegistryStub(channel)
        self.log = EventLogStub(channel)

    def create_model(self, model: str, request_id: str = "", **fields: Any) -> model_pb2.Model:
        return self.models.CreateModel(
            model_registry_pb2.CreateModelRequest(
                parent=PROJECT, model_id=model, model=model_pb2.Model(**fields), request_id=request_id
            ),
            timeout=DEADLINE,
        )

    def create_version(self, model: str, name: str = "", request_id: str = "", **fields: Any) -> model_pb2.ModelVersion:
        return self.models.CreateModelVersion(
            model_registry_pb2.CreateModelVersionRequest(
                parent=f"{PROJECT}/models/{model}",
                model_version=model_pb2.ModelVersion(version_name=name, **fields),
                request_id=request_id,
            ),
            timeout=DEADLINE,
        )

    def ensure(
        self, model: str, version: str = "", run: str = "", request_id: str = ""
    ) -> model_registry_pb2.EnsureModelVersionResponse:
        return self.models.EnsureModelVersion(
            model_registry_pb2.EnsureModelVersionRequest(
                parent=PROJECT,
                config=model_pb2.ModelConfig(model=model, version=version),
                run=f"{PROJECT}/runs/{run}" if run else "",
                request_id=request_id,
            ),
            timeout=DEADLINE,
        )

    def model(self, model: str) -> model_pb2.Model:
        request = model_registry_pb2.GetModelRequest(name=f"{PROJECT}/models/{model}")
        return self.models.GetModel(request, timeout=DEADLINE)

    def version(self, model: str, reference: str) -> model_pb2.ModelVersion:
        request = model_registry_pb2.GetModelVersionRequest(name=f"{PROJECT}/models/{model}/versions/{reference}")
        return self.models.GetModelVersion(request, timeout=DEADLINE)

    def versions(self, model: str, page_size: int = 0, page_token: str = "") -> list[model_pb2.ModelVersion]:
        """Return all versions of the model, from all pages."""
        found: list[model_pb2.ModelVersion] = []
        while True:
            page = self.models.ListModelVersions(
                model_registry_pb2.ListModelVersionsRequest(
                    parent=f"{PROJECT}/models/{model}", page_size=page_size, page_token=page_token
                ),
                timeout=DEADLINE,
            )
            found.extend(page.model_versions)
            page_token = page.next_page_token
            if not page_token:
                return found

    def set_stage(
        self, model: str, reference: str | int, stage: model_pb2.Stage.ValueType, **fields: Any
    ) -> model_pb2.ModelVersion:
        name = f"{PROJECT}/models/{model}/versions/{reference}"
        request = model_registry_pb2.SetStageRequest(name=name, stage=stage, **fields)
        return self.models.SetStage(request, timeout=DEADLINE)

    def set_alias(self, model: str, reference: str | int, alias: str, **fields: Any) -> model_pb2.ModelVersion:
        name = f"{PROJECT}/models/{model}/versions/{reference}"
        request = model_registry_pb2.SetAliasRequest(name=name, alias=alias, **fields)
        return self.models.SetAlias(request, timeout=DEADLINE)

    def delete_alias(self, model: str, alias: str, **fields: Any) -> model_pb2.ModelVersion:
        request = model_registry_pb2.DeleteAliasRequest(parent=f"{PROJECT}/models/{model}", alias=alias, **fields)
        return self.models.DeleteAlias(request, timeout=DEADLINE)

    def log_metadata(
        self, model: str, reference: str | int, **metadata: model_pb2.MetadataValue
    ) -> model_pb2.ModelVersion:
        name = f"{PROJECT}/models/{model}/versions/{reference}"
        request = model_registry_pb2.LogMetadataRequest(name=name, metadata=metadata)
        return self.models.LogMetadata(request, timeout=DEADLINE)

    def start_run(
        self, run: str, config: model_pb2.ModelConfig | None = None, request_id: str = "", pipeline: str = "training"
    ) -> run_registry_pb2.StartRunResponse:
        request = run_registry_pb2.StartRunRequest(
            parent=PROJECT, run_id=run, run=run_pb2.Run(pipeline=pipeline), config=config, request_id=request_id
        )
        return self.runs.StartRun(request, timeout=DEADLINE)

    def finish_run(self, run: str, state: model_pb2.RunState.ValueType, error: str = "") -> run_pb2.Run:
        request = run_registry_pb2.FinishRunRequest(name=f"{PROJECT}/runs/{run}", state=state, error=error)
        return self.runs.FinishRun(request, timeout=DEADLINE)

    def run(self, run: str) -> run_pb2.Run:
        return self.runs.GetRun(run_registry_pb2.GetRunRequest(name=f"{PROJECT}/runs/{run}"), timeout=DEADLINE)

    def events(self, after: int = 0, page_size: int = 1000) -> list[event_pb2.Event]:
        request = event_log_pb2.ListEventsRequest(parent=PROJECT, after_revision=after, page_size=page_size)
        return list(self.log.ListEvents(request, timeout=DEADLINE).events)


def unary_bytes(channel: grpc.Channel, method: str) -> grpc.UnaryUnaryMultiCallable[bytes, bytes]:
    """Return the method of that path, which takes and returns messages as bytes."""
    return channel.unary_unary(method)


def stream_bytes(channel: grpc.Channel, method: str) -> grpc.UnaryStreamMultiCallable[bytes, bytes]:
    """Return the streaming method of that path, which takes and returns messages as bytes."""
    return channel.unary_stream(method)


class Refusal:
    """The status of a refused call: its code, its message and its ErrorInfo."""

    code: grpc.StatusCode
    message: str
    info: ErrorInfo
    status: Status

    @property
    def reason(self) -> str:
        return str(self.info.reason)

    @property
    def metadata(self) -> dict[str, str]:
        return dict(self.info.metadata)


def refusal_of(error: Exception | None) -> Refusal:
    """Return the refusal in an error. Fail if the error has no reason of Tallymark."""
    assert isinstance(error, grpc.Call | grpc.aio.AioRpcError)
    refusal = Refusal()
    refusal.code, refusal.message = error.code(), error.details() or ""
    trailers = {str(key): value for key, value in error.trailing_metadata() or ()}
    assert "grpc-status-details-bin" in trailers, f"{refusal.code} carries no details: {refusal.message}"
    details = trailers["grpc-status-details-bin"]
    assert isinstance(details, bytes)
    refusal.status = Status.FromString(details)
    refusal.info = ErrorInfo()
    assert refusal.status.details[0].Unpack(refusal.info)
    assert refusal.info.domain == "tallymark.dev"
    assert refusal.status.message == refusal.message
    return refusal


@contextmanager
def refused(reason: str, code: grpc.StatusCode | None = None) -> Iterator[Refusal]:
    """Check that the call in the block is refused for that reason, with that code."""
    found = Refusal()
    try:
        yield found
    except grpc.RpcError as error:
        found.__dict__.update(refusal_of(error).__dict__)
        assert (found.info.reason, found.code) == (reason, code or found.code), found.message
    else:
        raise AssertionError(f"was not refused, and should have been for {reason}")
