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
from tallymark.cli.output import Printer, printed
from tallymark.delivery import spool
from tallymark.settings import Settings

if TYPE_CHECKING:
    from tallymark.delivery.spool import ClaimedJournal, Header, JournalSummary


@click.command
@click.option("--dry-run", is_flag=True, help="Send nothing; list what is kept.")
@click.option("--to", metavar="HOST:PORT", help="Send it there, instead of to the registry for which it was recorded.")
@click.option("--set-aside", metavar="RUN", help="Send nothing; put aside what is kept of this run, and never send it.")
@printed
def sync(printer: Printer, *, dry_run: bool, to: str | None, set_aside: str | None) -> None:
    """Send what runs have recorded while the registry was away, or offline.

    What they record is kept in the spool (TALLYMARK_SPOOL), with TALLYMARK_MODE=offline all of it. It is sent to the
    registry for which it was recorded, the oldest first: with --url or --project only what was recorded for these. What
    could not be read, or whose version was refused, is put aside in the spool, and is not removed. A run that cannot be
    sent, such as one whose artifacts' store is away, is kept and reported, and the others are sent.
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
    """Sends journals of the spool, and remembers what went wrong."""

    def __init__(self, settings: Settings, to: str | None) -> None:
        self._settings = settings
        self._to = to
        # Why a registry cannot be reached, by url and project.
        self._away: dict[tuple[str, str], errors.TallymarkError] = {}
        self.messages: list[str] = []

    @property
    def error(self) -> errors.TallymarkError | None:
        """Why a registry could not be reached, None if all could."""
        return next(iter(self._away.values()), None)

    def kept(self) -> Iterator[JournalSummary]:
        """What is kept for the registries that are meant, the oldest first."""
        asked = target()
        for path in spool.journals(self._settings.spool):
            try:
                kept = spool.summary_of(path)
            except FileNotFoundError:
                continue  # delivered in this moment
            except (spool.UnreadableJournal, OSError) as error:
                self._cannot_read(path, error)
                continue
            header = kept.header
            if (asked.url in (None, header.url)) and (asked.project in (None, header.project)):
                yield kept

    def _cannot_read(self, path: Path, error: Exception) -> None:
        self.messages.append(str(error))
        if path.parent.name != spool.QUARANTINE:
            try:
                spool.claim(path)  # which puts aside what it cannot read
            except (spool.UnreadableJournal, OSError):
                return

    def state(self, kept: JournalSummary) -> str:
        """What is going on with a journal."""
        if kept.path.parent.name == spool.QUARANTINE:
            return "put aside"
        return "in use" if spool.is_held(kept.path) else "kept"

    def row(self, kept: JournalSummary, state: str) -> dict[str, Any]:
        """The row of a table."""
        moment = datetime.fromtimestamp(kept.oldest / 1e6, UTC) if kept.oldest else None
        return {
            "run": kept.header.run,
            "state": state,
            "records": kept.records,
            "since": "" if moment is None else time_text(moment.replace(microsecond=0)),
            "bytes": kept.size,
            "registry": f"{self._to or kept.header.url}/{kept.header.project}",
        }

    def set_aside(self, run: str) -> Iterator[dict[str, Any]]:
        """Put aside the journals of the run; a row for each. What a living process records is left to it."""
        found = [kept for kept in self.kept() if kept.header.run == run and kept.path.parent.name != spool.QUARANTINE]
        if not found:
            self.messages.append(f"nothing is kept of run {run!r}; `tallymark sync --dry-run` lists what is")
        for kept in found:
            claimed = spool.claim(kept.path)
            if claimed is None:
                self.messages.append(f"{kept.path} is in use: end its program first")
            else:
                claimed.quarantine()
            yield self.row(kept, "in use" if claimed is None else "put aside")

    def send(self) -> Iterator[dict[str, Any]]:
        """Send everything; a row for each journal as it is done."""
        from tallymark.delivery.sender import is_of_registry

        for kept in self.kept():
            registry = (self._to or kept.header.url, kept.header.project)
            if kept.path.parent.name == spool.QUARANTINE:
                continue
            if registry in self._away:
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
                    self._away[registry] = error
                else:
                    self.messages.append(_is_kept(kept.header, error))
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
                self.messages.append(f"what could not be sent of run {header.run} is put aside: {claimed.quarantine()}")
                return "put aside"
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
            except errors.StoreUnavailable as error:  # the run has its end all the same
                self.messages.append(_is_kept(header, error))


def _is_kept(header: Header, error: errors.TallymarkError) -> str:
    return f"run {header.run} is kept: {error}; `tallymark sync --set-aside {header.run}` gives it up"


def _progress(kept: JournalSummary) -> Any:
    """A bar on the terminal, for as long as the journal is sent."""
    return click.progressbar(
        length=kept.records, label=f"sending {kept.header.run}", file=sys.stderr, hidden=not sys.stderr.isatty()
    )
