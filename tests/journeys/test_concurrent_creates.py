"""Numbers under concurrency: gapless and unique, also with cancelled calls and names that collide."""

import asyncio
from collections import Counter

import grpc
import grpc.aio
import pytest
from grpc_calls import PROJECT, Calls, refusal_of

from tallymark.testing import Server
from tallymark.v1 import model_pb2, model_registry_pb2
from tallymark.v1.model_registry_pb2_grpc import ModelRegistryStub

MODELS = ("a", "b", "c")
CREATES = 300


async def create_all(address: str) -> Counter[str]:
    """Send all creates at the same time, cancel every third, and count the outcomes."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = ModelRegistryStub(channel)
        outcomes: Counter[str] = Counter()

        async def create(index: int) -> None:
            # Thirty of the hundred creates of each model use one of ten names.
            name = f"name-{index % 10}" if index % 10 < 3 else ""
            request = model_registry_pb2.CreateModelVersionRequest(
                parent=f"{PROJECT}/models/{MODELS[index // 100]}",
                model_version=model_pb2.ModelVersion(version_name=name),
            )
            call = stub.CreateModelVersion(request)
            if index % 3 == 0:
                # Some are cancelled before they reach the server, some in the queue, some after the commit.
                asyncio.get_running_loop().call_later(index / 5000, call.cancel)
            try:
                await call
            except asyncio.CancelledError:
                outcomes["cancelled"] += 1
            except grpc.aio.AioRpcError as error:
                outcomes[refusal_of(error).info.reason] += 1
            else:
                outcomes["created"] += 1

        await asyncio.gather(*(create(index) for index in range(CREATES)))
        return outcomes


@pytest.mark.parametrize("rounds", [3])
def test_numbers_are_gapless_and_unique(calls: Calls, server: Server, rounds: int) -> None:
    """300 creates in 3 models, a third of them cancelled, with colliding names, leave no gap and no duplicate."""
    for model in MODELS:
        calls.create_model(model)
    created = taken = 0
    for _ in range(rounds):
        outcomes = asyncio.run(create_all(server.address))
        assert outcomes.keys() <= {"created", "cancelled", "VERSION_NAME_TAKEN"}, outcomes
        assert outcomes["cancelled"] > 0
        created += outcomes["created"]
        taken += outcomes["VERSION_NAME_TAKEN"]
    assert taken > 0
    calls.create_version("a")  # the queue is in order, so the cancelled creates are done after this one
    total = -1
    for model in MODELS:
        versions = calls.versions(model, page_size=100)
        assert [version.number for version in versions] == list(range(len(versions), 0, -1))
        names = [version.version_name for version in versions]
        assert len(set(names)) == len(names)
        assert calls.model(model).last_number == len(versions)
        total += len(versions)
    # A cancelled call may have had its effect before it was cancelled.
    assert created <= total <= created + CREATES * rounds
    assert len(calls.events(page_size=1000)) == min(1000, total + 1 + len(MODELS))


def test_a_caller_that_leaves_delays_nobody(calls: Calls) -> None:
    """After calls with a deadline that is too short, further creates succeed and numbers have no gap."""
    calls.create_model("churn")
    request = model_registry_pb2.CreateModelVersionRequest(parent=f"{PROJECT}/models/churn")
    timed_out = [calls.models.CreateModelVersion.future(request, timeout=0.0005) for _ in range(50)]
    assert all(call.exception() is None or call.code() == grpc.StatusCode.DEADLINE_EXCEEDED for call in timed_out)
    last = calls.create_version("churn").number
    assert [version.number for version in calls.versions("churn", page_size=100)] == list(range(last, 0, -1))


def test_concurrent_promotions_leave_one_holder(calls: Calls, server: Server) -> None:
    """64 concurrent promotions leave one version in production, and each refusal names it."""
    calls.create_model("churn")
    for _ in range(64):
        calls.create_version("churn")
    requests = [
        model_registry_pb2.SetStageRequest(
            name=f"{PROJECT}/models/churn/versions/{number}", stage=model_pb2.STAGE_PRODUCTION
        )
        for number in range(1, 65)
    ]
    futures = [calls.models.SetStage.future(request) for request in requests]
    refusals = [refusal_of(error) for error in (future.exception() for future in futures) if error is not None]
    holder = calls.version("churn", "@production").number
    assert len(refusals) == 63
    assert {refusal.info.reason for refusal in refusals} == {"STAGE_OCCUPIED"}
    assert {refusal.metadata["number"] for refusal in refusals} == {str(holder)}
    assert [version.stage for version in calls.versions("churn", 100)].count(model_pb2.STAGE_PRODUCTION) == 1
