"""The command `tallymark serve`."""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import click

from tallymark_server.access.limit_settings import InvalidLimitError, parse_limits
from tallymark_server.access.limits import LimitSettings
from tallymark_server.domain.errors import InvalidField
from tallymark_server.domain.naming import project_name
from tallymark_server.exposure import missing_protection
from tallymark_server.identity.issuers import NO_ISSUERS, InvalidIssuerError, Issuers, parse_issuers
from tallymark_server.settings import (
    DEFAULT_HTTP,
    DEFAULT_LISTEN,
    InvalidSettingError,
    Settings,
    parse_listen,
    parse_origin,
    parse_period,
    tls_files,
)
from tallymark_server.storage.database_url import SHAPE, is_url, shown

# Where the callback of --config keeps what it reads beside flags.
ISSUERS = "tallymark.issuers"
LIMITS = "tallymark.limits"


def _with_default(projects: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(dict.fromkeys(("default", *(project_name(name) for name in projects))))
    except InvalidField as error:
        raise InvalidSettingError(str(error)) from None


def _run(service: Coroutine[Any, Any, None]) -> None:
    # There is no uvloop for Windows.
    new_loop = importlib.import_module("uvloop").new_event_loop if sys.platform != "win32" else None
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(service)


def _issuers(issuers: Any, grants: Any, folder: Path) -> Issuers:
    try:
        return parse_issuers(issuers, grants, folder)
    except InvalidIssuerError as error:
        raise click.BadParameter(str(error)) from None


def _check_issuers(settings: Settings) -> None:
    """Check that the issuers can be used. Raises UsageError or ClickException."""
    if settings.issuers and settings.access is None:
        raise click.UsageError(
            "[[issuer]] lets people in by their roles, so access control must be on: run `tallymark access init` first"
        )
    if settings.issuers:
        try:
            importlib.import_module("tallymark_server.identity.provider")
        except ImportError as error:
            raise click.ClickException(
                f"[[issuer]] needs {error.name}, which is not installed: pip install 'tallymark[server,auth]'"
            ) from None


def _read_config(context: click.Context, _: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    import tomllib  # few users have such a file, and all would wait for the import

    try:
        found = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise click.BadParameter(f"cannot read {path}: {error}") from None
    # Tables cannot be given by flags.
    context.meta[ISSUERS] = _issuers(found.pop("issuer", []), found.pop("grant", []), path.absolute().parent)
    options = {option.opts[0].removeprefix("--"): option for option in context.command.params}
    del options["config"]
    # Release 0.1 knew settings of several values by the names of our variables, such as `projects`.
    former = {str(option.name): option for option in options.values()}
    settings: dict[str, Any] = {}
    try:
        context.meta[LIMITS] = parse_limits(found.pop("limits", None), found.pop("quotas", None))
    except InvalidLimitError as error:
        raise click.BadParameter(f"{path}: {error}") from None
    for key, value in found.items():
        option = options.get(key.replace("_", "-")) or former.get(key.replace("-", "_"))
        if option is None:
            raise click.BadParameter(
                f"{path} sets {key}, which is not a setting; settings are {', '.join(sorted(options))}"
            )
        settings[str(option.name)] = [value] if option.multiple and isinstance(value, str) else value
    context.default_map = {**(context.default_map or {}), **settings}


def _announce(db: str, address: str, dashboard: str, metrics: str) -> None:
    click.echo(f"tallymark serves {shown(db)} on {address}")
    if dashboard:
        click.echo(f"and its dashboard at {dashboard}")
    if metrics:
        click.echo(f"and its metrics at {metrics}")


def _check_exposure(settings: Settings) -> None:
    """Refuse to listen where other machines reach a server that does not protect itself. Raises UsageError."""
    tls = settings.tls is not None
    access = settings.access is not None or settings.by_certificate
    listening = [("--listen", settings.host), *([] if settings.http is None else [("--http", settings.http[0])])]
    for option, host in listening:
        if problem := missing_protection(option, host, tls=tls, access=access):
            raise click.UsageError(problem)


def _access(db: str, file: Path | None) -> str | None:
    """Return where tokens and grants are, None for no access control. Raises UsageError or ClickException."""
    if file is not None:
        if is_url(db):
            raise click.UsageError(
                "--access-db is for a file of SQLite; a database of PostgreSQL has tokens and grants in itself: run"
                " tallymark access init --db URL, and leave the option out"
            )
        return str(file)
    try:
        from tallymark_server.storage.access_opening import access_place
        from tallymark_server.storage.contract import CannotOpenError
    except ImportError:  # reported with what to install, as any other
        return None
    try:
        return asyncio.run(access_place(db))
    except CannotOpenError as error:
        raise click.ClickException(str(error)) from None


def _check_tracing() -> None:
    try:
        importlib.import_module("tallymark_server.operations.tracing")
    except ImportError as error:
        raise click.ClickException(
            f"--otel needs {error.name}, which is not installed: pip install 'tallymark[server,otel]'"
        ) from None


_setting = partial(click.option, show_envvar=True)


@click.command(context_settings={"auto_envvar_prefix": "TALLYMARK", "show_default": True})
@_setting(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    is_eager=True,
    expose_value=False,
    callback=_read_config,
    help='A TOML file with any of the settings below, named as here: listen = "127.0.0.1:50052". A flag or an'
    " environment variable wins over the file.",
)
@_setting(
    "--db",
    metavar="FILE or URL",
    default="tallymark.db",
    help="The SQLite file, made when it is not there; or the database of PostgreSQL that several servers share:"
    f" {SHAPE}. A password belongs into TALLYMARK_DB, PGPASSWORD or ~/.pgpass, since others can read command lines.",
)
@_setting(
    "--access-db",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    show_default="beside the SQLite file, if it is there",
    help="The file with tokens and grants that `tallymark access init` makes; it lets only known callers in. A database"
    " of PostgreSQL has them in itself.",
)
@_setting(
    "--db-listen",
    metavar="URL",
    default="",
    show_default="as --db",
    help="Where servers on one database of PostgreSQL hear of each other's changes, if a pooler such as PgBouncer is in"
    " the way of --db. Where nothing is heard, they look ten times a second.",
)
@_setting(
    "--listen",
    metavar="ADDRESS",
    default=DEFAULT_LISTEN,
    help="Where to answer gRPC calls: HOST:PORT, or unix:PATH for a socket that only its owner may use. Port 0 picks a"
    " free one and prints it.",
)
@_setting(
    "--http",
    metavar="ADDRESS",
    default=DEFAULT_HTTP,
    help="Where to answer browsers, and calls as JSON: HOST:PORT, or unix:PATH for a proxy on this machine. Port 0"
    " picks a free one and prints it.",
)
@_setting(
    "--http-name",
    "http_names",
    metavar="NAME",
    multiple=True,
    help="A host name that browsers may use for this server, in addition to addresses and localhost.",
)
@_setting(
    "--http-origin",
    "http_origins",
    metavar="ORIGIN",
    multiple=True,
    help="A site whose pages may call methods from browsers, such as https://app.example. No other site may.",
)
@_setting(
    "--tls-cert",
    type=click.Path(path_type=Path, dir_okay=False),
    show_default="no TLS",
    help="The certificate of this server with its chain, in the format PEM. Both ports then speak TLS. A new file is"
    " used from the next connection on, without a restart.",
)
@_setting(
    "--tls-key", type=click.Path(path_type=Path, dir_okay=False), help="The key of --tls-cert, without a password."
)
@_setting(
    "--client-ca",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The authorities of callers, in the format PEM: only callers with a certificate of theirs may connect, and are"
    " known by the name in it.",
)
@_setting(
    "--trust-network",
    is_flag=True,
    help="Listen on addresses that other machines reach even without TLS or access control: everybody who can connect"
    " may read and change everything, under any name.",
)
@_setting("--ui/--no-ui", default=True, help="Whether to answer browsers, and calls as JSON, at all.")
@_setting(
    "--project",
    "projects",
    metavar="NAME",
    multiple=True,
    default=("default",),
    help="A project to keep; made when it is not there. Several may be named. `default` is always there.",
)
@_setting(
    "--max-waiting",
    type=click.IntRange(1),
    default=10_000,
    help="How many changes may wait in line; more are refused at once, with the advice to try again.",
)
@_setting(
    "--heartbeat",
    type=click.FloatRange(0.1),
    metavar="SECONDS",
    default=15.0,
    help="The longest silence of a watch.",
)
@_setting(
    "--grace",
    type=click.FloatRange(0),
    metavar="SECONDS",
    default=10.0,
    help="How long calls under way may take to end when the server stops.",
)
@_setting(
    "--max-connection-age",
    type=click.FloatRange(1),
    metavar="SECONDS",
    show_default="never",
    help="After how long each connection of gRPC is to be made anew, so that a balancer can spread clients again. Calls"
    " under way have as long to end as with --grace.",
)
@_setting(
    "--max-clock-jump",
    type=click.FloatRange(min=0, min_open=True),
    metavar="HOURS",
    default=24.0,
    help="Record nothing once the machine's clock has jumped further ahead than this, until it is set right or the"
    " service is restarted.",
)
@_setting(
    "--metrics",
    metavar="ADDRESS",
    show_default="none",
    help="Where Prometheus may read metrics, and probes whether the service lives and is ready: HOST:PORT, or"
    " unix:PATH. Port 0 picks a free one and prints it. Whoever reaches it can read counts and"
    " names of projects. It needs no --trust-network, since it changes nothing, and probes have no token.",
)
@_setting(
    "--otel/--no-otel",
    default=False,
    help="Send traces by OpenTelemetry, as OTEL_EXPORTER_OTLP_ENDPOINT and its other variables say. Needs"
    " pip install 'tallymark[otel]'.",
)
@_setting(
    "--backup-to",
    metavar="FOLDER",
    show_default="none",
    help="Make backups by itself in this folder, or at this URL, such as s3://bucket/tallymark; `tallymark restore`"
    " restores them. Each is verified before an older one is removed.",
)
@_setting(
    "--backup-every",
    metavar="PERIOD",
    default="1h",
    help="How often to make a backup: 30s, 15m, 1h or 1d.",
)
@_setting(
    "--backup-keep",
    type=click.IntRange(1),
    default=48,
    help="How many backups to keep; older ones of this file are removed.",
)
@_setting(
    "--access-log",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PATH",
    show_default="none",
    help="Append a line of JSON to this file for each call and each page, also for those that are refused.",
)
@_setting(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    help="The least level to log.",
)
@_setting(
    "--log-format",
    type=click.Choice(["console", "json"]),
    default="console",
    help="Logs for people or for programs, on standard error.",
)
def serve(
    listen: str,
    http: str,
    http_origins: tuple[str, ...],
    ui: bool,
    projects: tuple[str, ...],
    metrics: str | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    client_ca: Path | None,
    trust_network: bool,
    backup_every: str,
    access_db: Path | None,
    **given: Any,
) -> None:
    """Run the service on a SQLite file or on PostgreSQL, until Ctrl-C or SIGTERM.

    The end of its terminal stops it too, unless it was started with nohup; `tallymark up` starts it in the background.
    Only one server can hold a file. When it stops, changes that wait in line are still made and answered.
    """
    try:
        host, port = parse_listen(listen)
        seen = parse_listen(http) if ui else None
        origins = tuple(parse_origin(origin) for origin in http_origins)
        tls = tls_files(tls_cert, tls_key, client_ca)
        settings = Settings(
            host=host,
            port=port,
            http=seen,
            http_origins=origins,
            projects=_with_default(projects),
            metrics=parse_listen(metrics) if metrics else None,
            tls=tls,
            backup_every=parse_period(backup_every),
            access=_access(given["db"], access_db),
            issuers=click.get_current_context().meta.get(ISSUERS, NO_ISSUERS),
            limits=click.get_current_context().meta.get(LIMITS, LimitSettings()),
            **given,
        )
    except InvalidSettingError as error:
        raise click.BadParameter(str(error)) from None
    _check_issuers(settings)
    if not trust_network:
        _check_exposure(settings)
    # gRPC's core would report a port in use a second time.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        from tallymark_server.access.access_log import CannotLogError
        from tallymark_server.app import serve as run
        from tallymark_server.certificates import CertificateError
        from tallymark_server.rpc.server import CannotListenError
        from tallymark_server.storage.contract import CannotOpenError
    except ImportError as error:
        raise click.ClickException(
            f"the service needs {error.name}, which is not installed: pip install 'tallymark[server]'"
        ) from None
    if settings.otel:
        _check_tracing()
    try:
        _run(run(settings, partial(_announce, settings.db)))
    except (CannotOpenError, CannotListenError, CertificateError, CannotLogError) as error:
        raise click.ClickException(str(error)) from None
