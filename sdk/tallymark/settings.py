"""The settings: from `configure`, else the environment, else the context in use, else the defaults."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from tallymark.addresses import DEFAULT_URL, checked_url
from tallymark.arguments import encodable, texts
from tallymark.errors import InvalidSetting
from tallymark.runtime.machine import contexts_path, default_actor

DEFAULT_STORE = "tallymark-artifacts"
MODES = ("online", "offline", "disabled")
ON_OR_OFF = ("on", "off")
# The seconds without a heartbeat after which the registry records a run as lost.
DEFAULT_HEARTBEAT_TIMEOUT = "90"
MAX_HEARTBEAT_TIMEOUT = 30 * 86_400
# The longest name of an actor, in characters.
MAX_ACTOR = 255


class Settings(NamedTuple):
    """The settings in force, as `configure` describes them.

    `timeout` is None for the default of each kind of call, and `heartbeat_timeout` is 0 for never.
    """

    url: str
    project: str
    mode: str
    timeout: float | None
    actor: str
    store: str
    trusted_types: tuple[str, ...] = ()
    parameters: str = "on"
    spool: str = ""
    heartbeat_timeout: float = 90.0
    trusted_stores: tuple[str, ...] = ()
    ca: str = ""
    client_cert: str = ""
    client_key: str = ""
    otel: str = "off"

    @property
    def offline(self) -> bool:
        """Whether records are only kept on disk, and the registry is not called."""
        return self.mode == "offline"

    @property
    def disabled(self) -> bool:
        """Whether nothing is recorded."""
        return self.mode == "disabled"


_arguments: dict[str, str | float] = {}
# The variables on which the settings depend: those of settings, and those for the defaults of actor and folders.
_VARIABLES = (
    *(f"TALLYMARK_{name.upper()}" for name in (*Settings._fields, "context")),
    *("LOGNAME", "USER", "XDG_STATE_HOME", "HOME"),
)

# os.environ encodes and decodes at each access, which takes longer than the rest of a call that records nothing.
_raw_environment: Mapping[Any, Any] = (
    vars(os.environ).get("_data", os.environb) if os.supports_bytes_environ else os.environ
)
_raw_names: tuple[Any, ...] = tuple(map(os.fsencode, _VARIABLES)) if os.supports_bytes_environ else _VARIABLES


def configure(
    *,
    url: str | None = None,
    project: str | None = None,
    mode: str | None = None,
    timeout: float | None = None,
    actor: str | None = None,
    store: str | None = None,
    trusted_types: Iterable[str] | None = None,
    parameters: str | None = None,
    spool: str | None = None,
    heartbeat_timeout: float | None = None,
    trusted_stores: Iterable[str] | None = None,
    ca: str | None = None,
    client_cert: str | None = None,
    client_key: str | None = None,
    otel: str | None = None,
) -> None:
    """Set, for this process, what otherwise comes from the environment or the context in use.

    None leaves a setting as it is.

    Args:
        url: HOST:PORT or unix:PATH of the service, or with TLS grpcs://HOST:PORT; those of several replicas with commas
            between (TALLYMARK_URL, by default 127.0.0.1:50051).
        project: The project to work on (TALLYMARK_PROJECT, by default `default`).
        mode: `online`; `offline` to keep what runs record on disk until `tallymark sync` sends it; `disabled` to
            record nothing (TALLYMARK_MODE).
        timeout: The seconds that a call may take (TALLYMARK_TIMEOUT).
        actor: Who is recorded as having made the changes (TALLYMARK_ACTOR, by default user@host).
        store: The folder or URI in which artifacts are saved (TALLYMARK_STORE, by default ./tallymark-artifacts).
        trusted_types: Types that artifacts in the format skops may contain, beside those of well-known libraries:
            qualified names, or `my_package.*` (TALLYMARK_TRUSTED_TYPES, separated by commas).
        parameters: `on`, or `off` to record no arguments of steps and pipelines (TALLYMARK_PARAMETERS).
        spool: The folder in which records of runs are kept until they are sent (TALLYMARK_SPOOL, by default
            ~/.local/state/tallymark/spool).
        heartbeat_timeout: The seconds without a heartbeat after which a run is recorded as lost, 0 for never
            (TALLYMARK_HEARTBEAT_TIMEOUT, by default 90).
        trusted_stores: The folders and URIs from which artifacts are loaded, beside `store`; others are refused
            (TALLYMARK_TRUSTED_STORES, separated by commas).
        ca: A PEM file with the certificates of the authorities that may vouch for the service, in place of those that
            this machine trusts (TALLYMARK_CA).
        client_cert: A PEM file with the certificate that names this program to the service (TALLYMARK_CLIENT_CERT).
        client_key: A PEM file with the key of that certificate (TALLYMARK_CLIENT_KEY).
        otel: `on` to send spans of runs and steps by OpenTelemetry (TALLYMARK_OTEL, by default `off`).

    Raises:
        InvalidSetting: A setting has a value that it cannot have.
    """
    stores = None if trusted_stores is None else ",".join(texts(trusted_stores, "configure(trusted_stores=...)"))
    types = None if trusted_types is None else ",".join(texts(trusted_types, "configure(trusted_types=...)"))
    given = {"url": url, "project": project, "mode": mode, "timeout": timeout, "actor": actor, "store": store}
    given |= {"trusted_types": types, "parameters": parameters, "spool": spool, "heartbeat_timeout": heartbeat_timeout}
    given |= {"trusted_stores": stores, "ca": ca, "client_cert": client_cert, "client_key": client_key, "otel": otel}
    chosen = {name: value for name, value in given.items() if value is not None}
    _resolve({**_arguments, **chosen}, os.environ)
    _arguments.update(chosen)


@contextmanager
def unconfigured() -> Iterator[None]:
    """Reset what `configure` has set for the time of the block, and restore it afterwards."""
    before = dict(_arguments)
    _arguments.clear()
    try:
        yield
    finally:
        _arguments.clear()
        _arguments.update(before)


def current() -> Settings:
    """Return the settings in force. Raises InvalidSetting."""
    # Every call of a decorated function reads them, and what they depend on hardly ever changes: hence the cache.
    return _resolve_cached(tuple(_arguments.items()), tuple(map(_raw_environment.get, _raw_names)))


@functools.lru_cache(maxsize=16)
def _resolve_cached(arguments: tuple[tuple[str, str | float], ...], values: tuple[bytes | str | None, ...]) -> Settings:
    return _resolve(
        dict(arguments), {name: os.fsdecode(value or "") for name, value in zip(_VARIABLES, values, strict=True)}
    )


def adjusted(**given: str | float | None) -> Settings:
    """Return the settings in force, replaced by those given that are not None. Raises InvalidSetting."""
    chosen = {name: value for name, value in given.items() if value is not None}
    return _resolve({**_arguments, **chosen}, os.environ)


def origin(name: str, **given: str | float | None) -> str:
    """Return where a setting comes from if these are given: a call, a variable, a context, or `default`."""
    arguments = {**_arguments, **{each: value for each, value in given.items() if value is not None}}
    if name in arguments:
        return f"tallymark.configure({name}=...)"
    variable = f"TALLYMARK_{name.upper()}"
    context, settings = _context(arguments, os.environ)
    return variable if os.environ.get(variable) else f"context {context}" if name in settings else "default"


def _context(arguments: Mapping[str, str | float], environment: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
    """Return the name and the settings of the context that is named, or else of the one in use.

    An address that is given means another registry, so then the context in use does not count.
    """
    name = str(arguments.get("context") or environment.get("TALLYMARK_CONTEXT") or "")
    if not name and ("url" in arguments or environment.get("TALLYMARK_URL")):
        return "", {}
    if not name and not os.path.exists(contexts_path()):  # noqa: PTH110 - importing pathlib takes too long
        return "", {}
    from tallymark import contexts

    found = contexts.read()
    name = name or found.in_use
    return name, found.get(name) if name else {}


def _resolve(arguments: Mapping[str, str | float], environment: Mapping[str, str]) -> Settings:
    context, by_context = _context(arguments, environment)

    def setting(name: str, default: str = "") -> tuple[str, str]:
        """Return the value, and its source for an error."""
        if name in arguments:
            return encodable(str(arguments[name]), f"{name}=..."), f"tallymark.configure({name}=...)"
        variable = f"TALLYMARK_{name.upper()}"
        if not environment.get(variable) and name in by_context:
            return by_context[name], f"{name} of the context {context}"
        return environment.get(variable) or default, variable

    url, mode = checked_url(*setting("url", DEFAULT_URL)), _checked_choice(MODES, *setting("mode", "online"))
    ca, cert, key = [_checked_file(*setting(name)) for name in ("ca", "client_cert", "client_key")]
    timeout = _checked_timeout(*setting("timeout"))
    project, source = setting("project", "default")
    if "/" in project:
        raise InvalidSetting(f"{source} is {project!r}, which has a slash; name a project without it")
    actor, store = _checked_actor(*setting("actor")) or default_actor(), setting("store", DEFAULT_STORE)[0]
    trusted, stores = _split_list(setting("trusted_types")[0]), _split_list(setting("trusted_stores")[0])
    parameters = _checked_choice(ON_OR_OFF, *setting("parameters", "on"))
    otel = _checked_choice(ON_OR_OFF, *setting("otel", "off"))
    # Symbolic links are not resolved: they may point elsewhere later.
    spool = os.path.abspath(setting("spool")[0] or _default_spool(environment))  # noqa: PTH100 - pathlib has none that keeps links
    heartbeat_timeout = _checked_heartbeat_timeout(*setting("heartbeat_timeout", DEFAULT_HEARTBEAT_TIMEOUT))
    tls = ca, cert, key
    return Settings(
        url, project, mode, timeout, actor, store, trusted, parameters, spool, heartbeat_timeout, stores, *tls, otel
    )


def _split_list(text: str) -> tuple[str, ...]:
    """Return the items of a text in which they are separated by commas."""
    return tuple(each.strip() for each in text.split(",") if each.strip())


def _default_spool(environment: Mapping[str, str]) -> str:
    home = environment.get("HOME") or os.path.expanduser("~")  # noqa: PTH111 - pathlib takes time to import
    state = environment.get("XDG_STATE_HOME") or os.path.join(home, ".local", "state")  # noqa: PTH118 - as above
    return os.path.join(state, "tallymark", "spool")  # noqa: PTH118 - as above


def _checked_file(path: str, source: str) -> str:
    """Return the absolute path, since this process may change its folder; empty for none."""
    if not path.isprintable():
        raise InvalidSetting(f"{source} is {path!r}, which is no path of a file")
    return os.path.abspath(path) if path else ""  # noqa: PTH100 - pathlib takes time to import


def _checked_actor(actor: str, source: str) -> str:
    # The service has the same rule. A much longer name would not fit into the headers of a call.
    if len(actor) > MAX_ACTOR or not actor.isprintable() or actor.strip() != actor:
        raise InvalidSetting(
            f"{source} is {actor[:MAX_ACTOR]!r}; it has at most {MAX_ACTOR} characters, none of them a control"
            " character, and no space at either end"
        )
    return actor


def _checked_choice(choices: tuple[str, ...], choice: str, source: str) -> str:
    if choice not in choices:
        raise InvalidSetting(f"{source} is {choice!r}; choose one of {', '.join(choices)}")
    return choice


def _checked_timeout(timeout: str, source: str) -> float | None:
    if not timeout:
        return None
    try:
        seconds = float(timeout)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= 86_400:
        raise InvalidSetting(f"{source} is {timeout!r}; set a number of seconds from 0 to 86400")
    return seconds


def _checked_heartbeat_timeout(timeout: str, source: str) -> float:
    try:
        seconds = float(timeout)
    except ValueError:
        seconds = -1.0
    if seconds != 0 and not 1 <= seconds <= MAX_HEARTBEAT_TIMEOUT:
        raise InvalidSetting(
            f"{source} is {timeout!r}; it is a number of seconds from 1 to {MAX_HEARTBEAT_TIMEOUT}, or 0 for never"
        )
    return seconds
