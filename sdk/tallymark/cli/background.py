"""`tallymark up`, `status` and `stop`: services in the background, on this machine.

A lock beside each database names the process that serves it. XDG_STATE_HOME has a record of each service, with its
address, and its log.
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
from tallymark.cli.options import DatabaseFile
from tallymark.cli.output import Printer, with_printer
from tallymark.errors import TallymarkError, Unavailable
from tallymark.settings import adjusted

# The seconds that a service may take to start, to stop, and to answer a call.
_START_TIMEOUT = 120.0
_STOP_TIMEOUT = 60.0
_CALL_TIMEOUT = 3.0
_POLL_INTERVAL = 0.05

_db = click.option(
    "--db",
    type=DatabaseFile("run `tallymark serve` on it, by systemd or in a container"),
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
    def is_running(self) -> bool:
        """Whether it still serves its file."""
        return holder_of(Path(self.db)) == self.pid

    def row(self) -> dict[str, object]:
        """Return its row, as it is printed."""
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
    """Return the process that serves the file, None for none. Raises ClickException if the service is not installed."""
    try:
        holder: int | None = import_module("tallymark_server.offline_commands").holder(db)
    except ImportError as error:
        raise click.ClickException(
            f"the service needs {error.name}, which is not installed: pip install 'tallymark[server]'"
        ) from None
    return holder


def _records_folder() -> Path:
    """Return the folder of the records of services, and create it, readable by its owner alone."""
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    folder = home / "tallymark" / "services"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(f"cannot create {folder}: {error.strerror}; set XDG_STATE_HOME") from None
    return folder


def _record_of(db: Path) -> Path:
    """Return the path of the record of a database's service."""
    return _records_folder() / f"{db.stem[:40]}-{sha256(os.fsencode(db)).hexdigest()[:12]}.json"


def _read_record(record: Path) -> Service | None:
    """Return the service in the record, if it is still running. Remove the record if it is not."""
    try:
        service = Service(**json.loads(record.read_text()))
    except (OSError, ValueError, TypeError):
        return None
    if service.is_running:
        return service
    record.unlink(missing_ok=True)
    return None


def _revision(address: str) -> str:
    try:
        return str(client_of(adjusted(url=address, timeout=_CALL_TIMEOUT)).newest_revision())
    except Unavailable:
        return "does not answer"
    except TallymarkError:
        # It answers, but not for this project.
        return ""


@contextmanager
def _exclusive_start(record: Path) -> Iterator[None]:
    """Hold a lock, so that only one `up` at a time starts the service of a database."""
    import fcntl

    with record.with_suffix(".starting").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _configured_db(config: Path | None) -> Path | None:
    """Return the database that the file of settings names, None if there is none. `serve` reports a damaged file."""
    if config is None:
        return None
    import tomllib

    try:
        db = tomllib.loads(config.read_text()).get("db")
    except (OSError, ValueError):
        return None
    return Path(db) if isinstance(db, str) else None


@click.command
@_db
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="TALLYMARK_CONFIG",
    show_envvar=True,
    help="A TOML file, as for `serve`.",
)
@click.option("--listen", metavar="ADDRESS", help="The address for gRPC calls, as for `serve`.")
@click.option("--http", metavar="ADDRESS", help="The address of the dashboard, as for `serve`.")
@click.option("--no-ui", is_flag=True, help="Serve no dashboard.")
@with_printer
def up(
    printer: Printer, db: Path | None, config: Path | None, listen: str | None, http: str | None, no_ui: bool
) -> None:
    """Start the service in the background, and wait until it answers.

    If it is running already, only print its address. Other options of `serve` are read from the environment and from
    --config.
    """
    file = (db or _configured_db(config) or Path("tallymark.db")).resolve()
    record = _record_of(file)
    with _exclusive_start(record):
        running = _read_record(record)
        if running is None:
            if (holder := holder_of(file)) is not None:
                raise click.ClickException(
                    f"{file} is served by the process {holder} already, which was not started by `tallymark up`"
                )
            options = [("--config", config), ("--listen", listen), ("--http", http)]
            flags = [word for name, value in options if value is not None for word in (name, str(value))]
            running = _start(file, [*flags, *(["--no-ui"] if no_ui else [])], record.with_suffix(".log"))
            record.write_text(json.dumps(asdict(running)))
            record.chmod(0o600)
        else:
            click.echo("it is running already", err=True)
    _show(printer, [running.row()])
    # Programs cannot call an address that means all interfaces.
    everywhere = running.address.removeprefix("grpcs://").startswith(("0.0.0.0:", "[::]:"))
    if running.address != target().settings().url and not everywhere:
        click.echo(f"to call it from programs and commands: export TALLYMARK_URL={running.address}", err=True)


def _show(printer: Printer, rows: list[dict[str, object]]) -> None:
    """Print services, on a terminal with a line for each field, since addresses and paths are too long for a table."""
    if printer.output != "table" or not sys.stdout.isatty():
        printer.many(rows)
        return
    from tallymark.cli.descriptions import Page

    for row in rows:
        for name, value in row.items():
            Page().label(name.capitalize(), value)


def _start(db: Path, flags: list[str], log: Path) -> Service:
    """Start a service, and wait until it answers. Raises ClickException with the last line of its log if it ends."""
    command = [sys.executable, "-m", "tallymark_server", "--db", str(db), *flags]
    with log.open("a") as errors:
        log.chmod(0o600)
        begun = errors.tell()
        process = subprocess.Popen(  # noqa: S603 - the program is ours
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )
    assert process.stdout is not None, "the process was started with a pipe"  # noqa: S101
    address, dashboard = _read_addresses(process, process.stdout, no_ui="--no-ui" in flags)
    process.stdout.close()
    if not address:
        lines = [line for line in log.read_bytes()[begun:].decode(errors="replace").splitlines() if line.strip()]
        reason = lines[-1].removeprefix("Error: ") if lines else "it ended without a message"
        raise click.ClickException(f"the service did not start: {reason} (its log: {log})")
    # It outlives this process, so Popen must not warn that it is still running.
    process.returncode = 0
    return Service(db=str(db), pid=process.pid, address=address, dashboard=dashboard, version=__version__, log=str(log))


def _read_addresses(process: subprocess.Popen[str], output: IO[str], *, no_ui: bool) -> tuple[str, str]:
    """Return the addresses of the service and its dashboard, empty if it ended. Kill it if it takes too long."""
    import threading

    watchdog = threading.Timer(_START_TIMEOUT, process.kill)
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
    """Return the services that are running in the background, or only that of the database."""
    records = sorted(_records_folder().glob("*.json")) if db is None else [_record_of(db.resolve())]
    return [service for record in records if (service := _read_record(record)) is not None]


class _NotRunningError(click.ClickException):
    exit_code = 4


def _not_running(db: Path | None) -> _NotRunningError:
    if db is not None and (holder := holder_of(db.resolve())) is not None:
        return _NotRunningError(f"{db} is served by the process {holder}, which was not started by `tallymark up`")
    return _NotRunningError(f"no service runs in the background{f' on {db}' if db else ''}; start it: tallymark up")


@click.command
@_db
@with_printer
def status(printer: Printer, db: Path | None) -> None:
    """Show which services run in the background, and where."""
    services = _running(db)
    if not services:
        raise _not_running(db)
    _show(printer, [service.row() for service in services])


@click.command
@_db
@with_printer
def stop(printer: Printer, db: Path | None) -> None:
    """Stop the service that runs in the background.

    Requests that wait are still answered. Without --db, only one service may be running.
    """
    services = _running(db)
    if not services:
        raise _not_running(db)
    if len(services) > 1:
        raise click.UsageError(f"several are running; name one with --db: {', '.join(each.db for each in services)}")
    (service,) = services
    try:
        os.kill(service.pid, signal.SIGTERM)
    except PermissionError:
        raise click.ClickException(f"the process {service.pid} belongs to another user, who must stop it") from None
    except ProcessLookupError:
        pass
    deadline = time.monotonic() + _STOP_TIMEOUT
    while service.is_running:
        if time.monotonic() > deadline:
            raise click.ClickException(
                f"the process {service.pid} is still running after {_STOP_TIMEOUT:g} s; its log: {service.log}"
            )
        time.sleep(_POLL_INTERVAL)
    with suppress(OSError):
        _record_of(Path(service.db)).unlink()
    _show(printer, [{"state": "stopped", "db": service.db, "pid": service.pid, "log": service.log}])
