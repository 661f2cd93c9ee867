"""`tallymark up`, `status` and `stop`: the service in the background, on this machine.

Which process serves a file, the lock beside the file says; where it answers is kept in XDG_STATE_HOME, with its log.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import IO

import click

from tallymark import __version__
from tallymark.cli.client_context import client_of, target
from tallymark.cli.output import Printer, printed
from tallymark.errors import TallymarkError, Unavailable
from tallymark.settings import adjusted

# How long a service may take to answer, to stop, and to say how far its log has come, in seconds.
_START, _STOP, _PATIENCE = 120.0, 60.0, 3.0
_PAUSE = 0.05

_db = click.option(
    "--db",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="TALLYMARK_DB",
    show_envvar=True,
    help="The SQLite file of the service.",
)


@dataclass(frozen=True, kw_only=True)
class Service:
    """A service that was started in the background."""

    db: str
    pid: int
    address: str
    dashboard: str
    version: str
    log: str

    @property
    def runs(self) -> bool:
        """Whether it still holds its file."""
        return holder_of(Path(self.db)) == self.pid

    def row(self) -> dict[str, object]:
        """Return what is printed of it."""
        return {
            "state": "running",
            "address": self.address,
            "dashboard": self.dashboard,
            "revision": _revision(self.address),
            "db": self.db,
            "version": self.version,
            "pid": self.pid,
            "log": self.log,
        }


def holder_of(db: Path) -> int | None:
    """Return the process that serves the file; None for none. Raises click.ClickException without the service."""
    try:
        found: int | None = import_module("tallymark_server.offline_commands").holder(db)
    except ImportError as error:
        raise click.ClickException(
            f"the service needs {error.name}, which is not installed: pip install 'tallymark[server]'"
        ) from None
    return found


def _folder() -> Path:
    """Return where services are remembered, and make it: for its owner alone."""
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    folder = home / "tallymark" / "services"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(f"cannot make {folder}: {error.strerror}; set XDG_STATE_HOME") from None
    return folder


def _note(db: Path) -> Path:
    """Return the file in which the service of a database is remembered."""
    return _folder() / f"{db.stem[:40]}-{sha256(os.fsencode(db)).hexdigest()[:12]}.json"


def _remembered(note: Path) -> Service | None:
    """Return the service that the note describes, if it still runs; a note of one that does not is removed."""
    try:
        service = Service(**json.loads(note.read_text()))
    except (OSError, ValueError, TypeError):
        return None
    if service.runs:
        return service
    note.unlink(missing_ok=True)
    return None


def _revision(address: str) -> str:
    try:
        return str(client_of(adjusted(url=address, timeout=_PATIENCE)).newest_revision())
    except Unavailable:
        return "does not answer"
    except TallymarkError:
        # It answers, though not for this project.
        return ""


@contextmanager
def _alone(note: Path) -> Iterator[None]:
    """Let only one `up` at a time start the service of a database."""
    import fcntl

    with note.with_suffix(".starting").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@click.command
@_db
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="A TOML file, as for `serve`.")
@click.option("--listen", metavar="ADDRESS", help="Where to answer gRPC calls, as for `serve`.")
@click.option("--http", metavar="ADDRESS", help="Where to answer browsers, as for `serve`.")
@click.option("--no-ui", is_flag=True, help="Answer no browsers.")
@printed
def up(
    printer: Printer, db: Path | None, config: Path | None, listen: str | None, http: str | None, no_ui: bool
) -> None:
    """Start the service in the background, and wait until it answers.

    If it runs already, only print where. Other options of `serve` are read from the environment and from --config.
    """
    file = (db or Path("tallymark.db")).resolve()
    note = _note(file)
    with _alone(note):
        running = _remembered(note)
        if running is None:
            if (holder := holder_of(file)) is not None:
                raise click.ClickException(
                    f"{file} is served by the process {holder} already, which was not started by `tallymark up`"
                )
            options = [("--config", config), ("--listen", listen), ("--http", http)]
            flags = [word for name, value in options if value is not None for word in (name, str(value))]
            running = _started(file, [*flags, *(["--no-ui"] if no_ui else [])], note.with_suffix(".log"))
            note.write_text(json.dumps(asdict(running)))
            note.chmod(0o600)
        else:
            click.echo("it runs already", err=True)
    _show(printer, [running.row()])
    # An address of every interface is none that a program could call.
    if running.address != target().settings().url and not running.address.startswith(("0.0.0.0:", "[::]:")):
        click.echo(f"to have programs and commands ask it: export TALLYMARK_URL={running.address}", err=True)


def _show(printer: Printer, rows: list[dict[str, object]]) -> None:
    """Print services: below each other on a terminal, where addresses and paths have no room beside each other."""
    if printer.output != "table" or not sys.stdout.isatty():
        printer.many(rows)
        return
    from tallymark.cli.descriptions import Page

    for row in rows:
        for name, value in row.items():
            Page().label(name.capitalize(), value)


def _started(db: Path, flags: list[str], log: Path) -> Service:
    """Start a service, and return when it answers. Raises click.ClickException with its last word if it ends."""
    command = [sys.executable, "-m", "tallymark_server", "--db", str(db), *flags]
    with log.open("a") as errors:
        log.chmod(0o600)
        begun = errors.tell()
        process = subprocess.Popen(  # noqa: S603 - the program is ours
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )
    assert process.stdout is not None, "the process was started with a pipe"  # noqa: S101
    address, dashboard = _announced(process, process.stdout, no_ui="--no-ui" in flags)
    process.stdout.close()
    if not address:
        lines = [line for line in log.read_bytes()[begun:].decode(errors="replace").splitlines() if line.strip()]
        word = lines[-1].removeprefix("Error: ") if lines else "it ended without a word"
        raise click.ClickException(f"the service did not start: {word} (its log: {log})")
    # It goes on when this process ends, so nobody waits for it.
    process.returncode = 0
    return Service(db=str(db), pid=process.pid, address=address, dashboard=dashboard, version=__version__, log=str(log))


def _announced(process: subprocess.Popen[str], output: IO[str], *, no_ui: bool) -> tuple[str, str]:
    """Return where the service answers and shows its dashboard; nothing if it ended, or took too long and is ended."""
    import threading

    watchdog = threading.Timer(_START, process.kill)
    watchdog.daemon = True
    watchdog.start()
    try:
        first = output.readline()
        if " on " not in first:
            process.wait()
            return "", ""
        second = "" if no_ui else output.readline()
        return first.rsplit(" on ", 1)[1].strip(), second.rpartition(" at ")[2].strip()
    finally:
        watchdog.cancel()


def _running(db: Path | None) -> list[Service]:
    """Return the services that run in the background, or only that of the database."""
    notes = sorted(_folder().glob("*.json")) if db is None else [_note(db.resolve())]
    return [service for note in notes if (service := _remembered(note)) is not None]


class _NotRunningError(click.ClickException):
    exit_code = 4


def _none(db: Path | None) -> _NotRunningError:
    if db is not None and (holder := holder_of(db.resolve())) is not None:
        return _NotRunningError(f"{db} is served by the process {holder}, which was not started by `tallymark up`")
    return _NotRunningError(f"no service runs in the background{f' on {db}' if db else ''}; start it: tallymark up")


@click.command
@_db
@printed
def status(printer: Printer, db: Path | None) -> None:
    """Show which services run in the background, and where."""
    found = _running(db)
    if not found:
        raise _none(db)
    _show(printer, [service.row() for service in found])


@click.command
@_db
@printed
def stop(printer: Printer, db: Path | None) -> None:
    """Stop the service that runs in the background.

    Changes that wait in line are still made and answered. Without --db there must be only one.
    """
    found = _running(db)
    if not found:
        raise _none(db)
    if len(found) > 1:
        raise click.UsageError(f"several run; name one with --db: {', '.join(service.db for service in found)}")
    (service,) = found
    try:
        os.kill(service.pid, signal.SIGTERM)
    except PermissionError:
        raise click.ClickException(f"the process {service.pid} belongs to another user, who must stop it") from None
    except ProcessLookupError:
        pass
    deadline = time.monotonic() + _STOP
    while service.runs:
        if time.monotonic() > deadline:
            raise click.ClickException(f"the process {service.pid} goes on after {_STOP:g} s; its log: {service.log}")
        time.sleep(_PAUSE)
    with suppress(OSError):
        _note(Path(service.db)).unlink()
    _show(printer, [{"state": "stopped", "db": service.db, "pid": service.pid, "log": service.log}])
