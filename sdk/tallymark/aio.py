"""The client for asyncio, as `tallymark.AsyncClient`."""

from tallymark.client.aio import AsyncClient

__all__ = ["AsyncClient"]
