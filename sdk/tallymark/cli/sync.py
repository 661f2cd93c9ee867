"""`tallymark sync`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tallymark import errors
from tallymark.cli.client_context import client_of, fail, target
from tallymark.cli.documents import time_text
from tallymark.cli.output import Printer, with_printer
from tallymark.delivery import spool
from tallymark.settings import Settings

if TYPE_CHECKING:
    from tallymark.delivery.spool import ClaimedJournal, Header, JournalSummary


@click.command
@click.option("--dry-run", is_flag=True, help="Send nothing; list the records that wait.")
@click.option("--to", metavar="HOST:PORT", help="Send to this registry, instead of the one that the run recorded.")
@click.option(
    "--set-aside", metavar="RUN", help="Send nothing; set aside the records of this run, so that they are never sent."
)
@with_printer
def sync(printer: Printer, *, dry_run: bool, to: str | None, set_aside: str | None) -> None:
    """Send what runs recorded offline, or while the registry could not be reached.

    Such records are kept in the spool (TALLYMARK_SPOOL). They are sent to the registry for which they were recorded,
    the oldest first. If --url or --project is given, only those that were recorded for it are sent. Records that cannot
    be read, or whose version is refused, are set aside in the spool, not removed. A run that cannot be sent, for
    example because the store of its artifacts cannot be reached, is kept and reported, and the others are sent.
    """
    syncing = _Syncing(target().settings(), to)
    if set_aside is not None:
        printer.many(list(syncing.set_aside(set_aside)))
    elif dry_run:
        printer.many([syncing.row(kept, syncing.state(kept)) for kept in syncing.kept()])
    else:
        printer.stream(syncing.send())
    for message in syncing.messages:
        click.echo(f"Error: {message}", err=True)
    if syncing.error is not None:
        fail(syncing.error)
    if syncing.messages:
        raise click.exceptions.Exit(1)


class _Syncing:
    """Sends the journals of the spool, and collects errors."""

    def __init__(self, settings: Settings, to: str | None) -> None:
        self._settings = settings
        self._to = to
        # The errors of registries that cannot be reached, by URL and project.
        self._unreachable: dict[tuple[str, str], errors.TallymarkError] = {}
        self.messages: list[str] = []

    @property
    def error(self) -> errors.TallymarkError | None:
        """The error of a registry that could not be reached, None if all could."""
        return next(iter(self._unreachable.values()), None)

    def kept(self) -> Iterator[JournalSummary]:
        """Yield the journals for the registries that are meant, the oldest first."""
        given = target()
        for path in spool.journals(self._settings.spool):
            try:
                kept = spool.summary_of(path)
            except FileNotFoundError:
                continue  # another process has just delivered it
            except (spool.UnreadableJournal, OSError) as error:
                self._cannot_read(path, error)
                continue
            header = kept.header
            if (given.url in (None, header.url)) and (given.project in (None, header.project)):
                yield kept

    def _cannot_read(self, path: Path, error: Exception) -> None:
        self.messages.append(str(error))
        if path.parent.name != spool.QUARANTINE:
            try:
                spool.claim(path)  # sets a journal aside that it cannot read
            except (spool.UnreadableJournal, OSError):
                return

    def state(self, kept: JournalSummary) -> str:
        """Return the state of a journal."""
        if kept.path.parent.name == spool.QUARANTINE:
            return "set aside"
        return "in use" if spool.is_held(kept.path) else "kept"

    def row(self, kept: JournalSummary, state: str) -> dict[str, Any]:
        """Return the row of a journal."""
        oldest = datetime.fromtimestamp(kept.oldest / 1e6, UTC) if kept.oldest else None
        return {
            "run": kept.header.run,
            "state": state,
            "records": kept.records,
            "since": "" if oldest is None else time_text(oldest.replace(microsecond=0)),
            "bytes": kept.size,
            "registry": f"{self._to or kept.header.url}/{kept.header.project}",
        }

    def set_aside(self, run: str) -> Iterator[dict[str, Any]]:
        """Set aside the journals of the run, and yield a row for each. A journal in use is left to its process."""
        found = [kept for kept in self.kept() if kept.header.run == run and kept.path.parent.name != spool.QUARANTINE]
        if not found:
            self.messages.append(f"no records of run {run!r} wait; list those that do with `tallymark sync --dry-run`")
        for kept in found:
            claimed = spool.claim(kept.path)
            if claimed is None:
                self.messages.append(f"{kept.path} is in use: end its program first")
            else:
                claimed.quarantine()
            yield self.row(kept, "in use" if claimed is None else "set aside")

    def send(self) -> Iterator[dict[str, Any]]:
        """Send all journals, and yield a row for each once it is done."""
        from tallymark.delivery.sender import is_of_registry

        for kept in self.kept():
            registry = (self._to or kept.header.url, kept.header.project)
            if kept.path.parent.name == spool.QUARANTINE:
                continue
            if registry in self._unreachable:
                yield self.row(kept, "kept")
                continue
            try:
                claimed = spool.claim(kept.path)
                state = "in use" if claimed is None else self._sent(claimed, kept)
            except errors.RunNotFound as error:
                self.messages.append(f"{kept.path} is kept: {error}; it may have been started on another machine")
                state = "kept"
            except errors.TallymarkError as error:
                if is_of_registry(error):
                    self._unreachable[registry] = error
                else:
                    self.messages.append(_kept_message(kept.header, error))
                state = "kept"
            except OSError as error:
                self.messages.append(f"{kept.path}: {error}")
                state = "kept"
            yield self.row(kept, state)

    def _sent(self, claimed: ClaimedJournal, kept: JournalSummary) -> str:
        from tallymark.conversion.problems import RecordingProblems
        from tallymark.delivery.delivery import Delivery

        header, problems = kept.header, RecordingProblems()
        settings = self._settings._replace(url=self._to or header.url, project=header.project, actor=header.actor)
        delivery = Delivery(
            claimed, client_of(settings), problems, before_end=lambda: self._send_others(claimed.path, header)
        )
        try:
            with _progress(kept) as bar:
                while delivery.deliver_batch():
                    bar.update(delivery.delivered - bar.pos)
            delivery.finish()
            if delivery.is_damaged:
                self.messages.append(f"what could not be sent of run {header.run} is set aside: {claimed.quarantine()}")
                return "set aside"
            claimed.remove()
        finally:
            claimed.release()
            if summary := problems.summary():
                click.echo(f"run {header.run}: {summary}", err=True)
        return "sent"

    def _send_others(self, path: Path | None, header: Header) -> None:
        """Send what other processes of the run have recorded, before the run is finished."""
        settings = self._settings._replace(url=header.url, project=header.project)
        for other in spool.abandoned(settings, header.run):
            try:
                claimed = spool.claim(other) if other != path else None
            except (spool.UnreadableJournal, OSError) as error:
                self.messages.append(str(error))
                continue
            if claimed is None:
                continue
            try:
                self._sent(claimed, spool.summary_of(other))
            except errors.StoreUnavailable as error:  # the run is finished all the same
                self.messages.append(_kept_message(header, error))


def _kept_message(header: Header, error: errors.TallymarkError) -> str:
    return f"run {header.run} is kept: {error}; set it aside with `tallymark sync --set-aside {header.run}`"


def _progress(kept: JournalSummary) -> Any:
    """Return a progress bar for the sending of a journal, hidden without a terminal."""
    return click.progressbar(
        length=kept.records, label=f"sending {kept.header.run}", file=sys.stderr, hidden=not sys.stderr.isatty()
    )
