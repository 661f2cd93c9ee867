"""The methods of the blocking client about a log as a whole: to read it, to prove it, and to export it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import TypeVar

import grpc

from tallymark.client import calls
from tallymark.client.argument_checks import checked
from tallymark.client.calls import Call, ExportChunk
from tallymark.client.channel import Channel, raise_for
from tallymark.settings import Settings
from tallymark.types.proofs import Checkpoint, Proof
from tallymark.types.resources import Event

T = TypeVar("T")


@checked
class Proving(ABC):
    """What a client asks about a log as a whole."""

    _project: str
    _settings: Settings
    _channel: Channel

    @abstractmethod
    def run_call(self, call: Call[T]) -> T:
        """The answer to a call made by `tallymark.client.calls`."""

    def list_events(self, after_revision: int = 0) -> Iterator[Event]:
        """All events of the log after a revision, in order; RevisionInFuture."""
        while events := self.run_call(calls.list_events(self._project, after_revision)):
            yield from events
            after_revision = events[-1].revision

    def newest_revision(self) -> int:
        """The revision of the log's last event, 0 before the first."""
        return (self.run_call(calls.head(self._project))).revision or 0

    def verify(self, checkpoint: Checkpoint | None = None) -> Proof:
        """Prove, while the service goes on, that the project is what its log tells, and that no event was changed.

        With the checkpoint of an earlier proof, also that the log still begins as it was then. The longer the log, the
        longer it takes, by default an hour at most; Overloaded when too many wait for a proof.
        """
        # A proof may take long; this call tells soon if there is no service.
        self.run_call(calls.head(self._project))
        return self.run_call(calls.verify(self._project, checkpoint))

    def export(self, at: int | None = None) -> Iterator[bytes]:
        """The project's log as JSON Lines, up to a revision or to its end: `file.writelines(client.export())`.

        The bytes are those of `tallymark export`, for `tallymark import`, in pieces that need not end with a line.
        RevisionInFuture, Overloaded.
        """
        with closing(self.export_progress(at)) as pieces:
            for piece in pieces:
                yield piece.lines

    def export_progress(self, at: int | None = None) -> Generator[ExportChunk, None, None]:
        """As `export`, with the revision to which each piece has come, and the last one."""
        # A stream has no deadline; this call tells soon if there is no service.
        self.run_call(calls.head(self._project))
        call = calls.export(self._project, at)
        stream = self._channel.stream(call)
        try:
            for message in stream:
                yield call.read(message)
        except grpc.RpcError as error:
            raise_for(error, self._settings, 0)
        finally:
            stream.cancel()
