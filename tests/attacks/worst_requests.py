"""Attacks that send the worst requests for every field of every method."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import grpc
import grpc.aio

from attacks.connections import Target
from attacks.requests import METHODS, Attack, attacks

# Every seventh request is sent, then those after them, and so on, so that a short attack hits many methods.
STRIDE = 7
DEADLINE = 20.0
OPTIONS = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))


def _interleaved_attacks() -> list[Attack]:
    found = [attack for method in METHODS if not method.server_streaming for attack in attacks(method)]
    return [attack for first in range(STRIDE) for attack in found[first::STRIDE]]


async def worst_requests(target: Target) -> str:
    """Send the requests over gRPC, two at a time."""
    outcomes: Counter[str] = Counter()
    async with grpc.aio.insecure_channel(target.grpc, options=OPTIONS) as channel:

        async def send(attack: Attack) -> None:
            try:
                call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(attack.url)
                await call(attack.data(), timeout=DEADLINE)
                outcomes["OK"] += 1
            except grpc.aio.AioRpcError as error:
                outcomes[error.code().name] += 1

        await _two_at_a_time(send)
    return _summary(outcomes)


async def worst_json(target: Target) -> str:
    """Send the requests over HTTP as JSON, two at a time."""
    outcomes: Counter[str] = Counter()

    async def send(attack: Attack) -> None:
        body = attack.json()
        head = f"POST {attack.url} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        head += f"connection: close\r\ncontent-length: {len(body)}\r\n\r\n"
        reader, writer = await target.raw(target.http, head.encode() + body)
        try:
            outcomes[(await reader.readline()).decode().partition(" ")[2].strip()] += 1
        except ConnectionError:
            outcomes["closed"] += 1
        writer.close()

    await _two_at_a_time(send)
    return _summary(outcomes)


async def _two_at_a_time(send: Callable[[Attack], Awaitable[None]]) -> None:
    remaining = iter(_interleaved_attacks())

    async def send_remaining() -> None:
        for attack in remaining:
            await send(attack)

    await asyncio.gather(send_remaining(), send_remaining())


def _summary(outcomes: Counter[str]) -> str:
    return ", ".join(f"{number} {outcome}" for outcome, number in outcomes.most_common())


ATTACKS: dict[str, Callable[[Target], Awaitable[str]]] = {
    "worst requests": worst_requests,
    "worst json": worst_json,
}
