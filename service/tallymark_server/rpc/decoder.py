"""Decode requests within the bounds of their method, without blocking other calls."""

from __future__ import annotations

import asyncio
from functools import cache

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from tallymark_server.domain.errors import MalformedRequest, RegistryError
from tallymark_server.rpc import gzip_content
from tallymark_server.rpc.bounds import Bounds

# In bytes; longer requests are decoded in a thread.
MAX_INLINE = 64 * 1024


class Decoder:
    """Decodes the requests of one method; `kind` is the type of their messages."""

    def __init__(self, method: MethodDescriptor) -> None:
        self._name = method.input_type.name
        self._bounds = Bounds(method)
        self.kind = GetMessageClass(method.input_type)
        self._decode = self.kind.FromString

    def at_once(self, data: bytes) -> Message | bytes:
        """Return the message if it is small and valid, else the data, for `read`."""
        if len(data) <= MAX_INLINE:
            try:
                content = gzip_content.decompress(data, MAX_INLINE) if data[:2] == gzip_content.MAGIC else data
                self._bounds.check(content)
                return self._decode(content)
            except (DecodeError, RegistryError):
                pass
        return data

    async def read(self, data: bytes) -> Message:
        """Return the message, which may be compressed. Raises MalformedRequest, ValueTooLarge or InvalidField."""
        if data[:2] == gzip_content.MAGIC:
            return await asyncio.to_thread(lambda: self.decode(gzip_content.decompress(data, self._bounds.limit)))
        if MAX_INLINE < len(data) <= self._bounds.limit:
            return await asyncio.to_thread(self.decode, data)
        return self.decode(data)

    def decode(self, data: bytes) -> Message:
        """Return the message. Raises MalformedRequest, ValueTooLarge or InvalidField."""
        try:
            self._bounds.check(data)
            return self._decode(data)
        except DecodeError:
            raise MalformedRequest(self._name) from None

    def check(self, message: Message) -> None:
        """Check a message that arrived in another encoding. Raises ValueTooLarge or InvalidField."""
        self._bounds.check(message.SerializeToString())


@cache
def decoder_of(method: MethodDescriptor) -> Decoder:
    """Return the decoder of the method's requests."""
    return Decoder(method)
