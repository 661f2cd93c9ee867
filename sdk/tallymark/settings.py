"""Where the registry is, and how it is asked: by argument, by environment, by the context in use, or by default."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from tallymark.arguments import encodable, texts
from tallymark.errors import InvalidSetting
from tallymark.runtime.machine import path_of_contexts, who_asks

DEFAULT_URL = "127.0.0.1:50051"
DEFAULT_STORE = "tallymark-artifacts"
MODES = ("online", "offline", "disabled")
PARAMETERS = ("on", "off")
# How long the registry waits for a sign of life of a run, in seconds, before it records the run as lost.
DEFAULT_HEARTBEAT_TIMEOUT = "90"
MAX_HEARTBEAT_TIMEOUT = 30 * 86_400
# Of who is recorded as having asked, in characters.
MAX_ACTOR = 255


class Settings(NamedTuple):
    """How the registry is asked. `timeout` is in seconds, None for the default of each kind of call.

    `store` is the folder, or the uri of one, in which artifacts are saved; `trusted_types` are the types that they may
    hold beside those of well-known libraries, and `trusted_stores` the folders and URIs, beside `store`, from which
    they are fetched. `spool` is the folder in which records of runs are kept until they are sent, and
    `heartbeat_timeout` how long, in seconds, the registry waits for a sign of life of a run before it records
    the run as lost; 0 if it is never to do so.
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

    @property
    def offline(self) -> bool:
        """Whether what is recorded is kept on disk, and the registry is not asked."""
        return self.mode == "offline"

    @property
    def disabled(self) -> bool:
        """Whether nothing is recorded."""
        return self.mode == "disabled"


_arguments: dict[str, str | float] = {}
# Of the environment: the settings, and what may say who somebody is.
_VARIABLES = (
    *(f"TALLYMARK_{name.upper()}" for name in (*Settings._fields, "context")),
    *("LOGNAME", "USER", "XDG_STATE_HOME", "HOME"),
)

# os.environ encodes and decodes at each look, which takes longer than all else that a call does that records nothing.
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
) -> None:
    """Set, for this process, what otherwise comes from the environment or the context in use; None changes nothing.

    `url` is HOST:PORT or unix:PATH of the service (TALLYMARK_URL), `project` whose models are meant
    (TALLYMARK_PROJECT), `mode` `online`, `offline` to keep what runs record on disk until `tallymark sync` sends it, or
    `disabled` to record nothing (TALLYMARK_MODE), `timeout` the seconds that a call may take (TALLYMARK_TIMEOUT),
    `actor` who is recorded as having asked (TALLYMARK_ACTOR, by default user@host), `store` the folder or uri in which
    artifacts are saved (TALLYMARK_STORE, by default ./tallymark-artifacts), `trusted_types` the
    types, beside those of well-known libraries, that artifacts in the format skops may hold: qualified names, or
    `my_package.*` (TALLYMARK_TRUSTED_TYPES, separated by commas), `parameters` is `on` or,
    to record no arguments of steps and pipelines, `off` (TALLYMARK_PARAMETERS), `spool` the folder in which records of
    runs are kept until they are sent (TALLYMARK_SPOOL, by default ~/.local/state/tallymark/spool), `heartbeat_timeout`
    the seconds after which a run without a sign of life is recorded as lost, 0 for never (TALLYMARK_HEARTBEAT_TIMEOUT,
    by default 90), `trusted_stores` the folders and URIs, beside `store`, from which artifacts are fetched
    (TALLYMARK_TRUSTED_STORES, separated by commas): a link to elsewhere is refused. Raises InvalidSetting.
    """
    stores = None if trusted_stores is None else ",".join(texts(trusted_stores, "configure(trusted_stores=...)"))
    types = None if trusted_types is None else ",".join(texts(trusted_types, "configure(trusted_types=...)"))
    given = {"url": url, "project": project, "mode": mode, "timeout": timeout, "actor": actor, "store": store}
    given |= {"trusted_types": types, "parameters": parameters, "spool": spool, "heartbeat_timeout": heartbeat_timeout}
    given["trusted_stores"] = stores
    chosen = {name: value for name, value in given.items() if value is not None}
    _settle({**_arguments, **chosen}, os.environ)
    _arguments.update(chosen)


@contextmanager
def unconfigured() -> Iterator[None]:
    """Let what `configure` has set not be in force in the block, and what it sets there not be in force afterwards."""
    before = dict(_arguments)
    _arguments.clear()
    try:
        yield
    finally:
        _arguments.clear()
        _arguments.update(before)


def current() -> Settings:
    """The settings in force; InvalidSetting."""
    # Every call of a decorated function asks for them, and what they are made of hardly ever changes.
    return _settled(tuple(_arguments.items()), tuple(map(_raw_environment.get, _raw_names)))


@functools.lru_cache(maxsize=16)
def _settled(arguments: tuple[tuple[str, str | float], ...], values: tuple[bytes | str | None, ...]) -> Settings:
    return _settle(
        dict(arguments), {name: os.fsdecode(value or "") for name, value in zip(_VARIABLES, values, strict=True)}
    )


def adjusted(**given: str | float | None) -> Settings:
    """The settings in force, but for those given that are not None; InvalidSetting."""
    chosen = {name: value for name, value in given.items() if value is not None}
    return _settle({**_arguments, **chosen}, os.environ)


def origin(name: str, **given: str | float | None) -> str:
    """Return where a setting comes from, with these given: a call, a variable, a context, or `default`."""
    arguments = {**_arguments, **{each: value for each, value in given.items() if value is not None}}
    if name in arguments:
        return f"tallymark.configure({name}=...)"
    variable = f"TALLYMARK_{name.upper()}"
    context, settings = _context(arguments, os.environ)
    return variable if os.environ.get(variable) else f"context {context}" if name in settings else "default"


def _context(arguments: Mapping[str, str | float], environment: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
    """Return the context that is named, or else the one in use, and what it sets.

    Who gives another address means another registry: then the one in use counts only if it is named.
    """
    name = str(arguments.get("context") or environment.get("TALLYMARK_CONTEXT") or "")
    if not name and ("url" in arguments or environment.get("TALLYMARK_URL")):
        return "", {}
    if not name and not os.path.exists(path_of_contexts()):  # noqa: PTH110 - importing pathlib takes too long
        return "", {}
    from tallymark import contexts

    found = contexts.read()
    name = name or found.in_use
    return name, found.get(name) if name else {}


def _settle(arguments: Mapping[str, str | float], environment: Mapping[str, str]) -> Settings:
    context, by_context = _context(arguments, environment)

    def setting(name: str, default: str = "") -> tuple[str, str]:
        """Return the value, and the words for where it came from."""
        if name in arguments:
            return encodable(str(arguments[name]), f"{name}=..."), f"tallymark.configure({name}=...)"
        variable = f"TALLYMARK_{name.upper()}"
        if not environment.get(variable) and name in by_context:
            return by_context[name], f"{name} of the context {context}"
        return environment.get(variable) or default, variable

    url, mode = checked_url(*setting("url", DEFAULT_URL)), _one_of(MODES, *setting("mode", "online"))
    timeout = _checked_timeout(*setting("timeout"))
    project, source = setting("project", "default")
    if "/" in project:
        raise InvalidSetting(f"{source} is {project!r}, which is no project's name")
    actor, store = _checked_actor(*setting("actor")) or who_asks(), setting("store", DEFAULT_STORE)[0]
    trusted, stores = _listed(setting("trusted_types")[0]), _listed(setting("trusted_stores")[0])
    parameters = _one_of(PARAMETERS, *setting("parameters", "on"))
    # Not resolved: a folder that is a link may point elsewhere tomorrow.
    spool = os.path.abspath(setting("spool")[0] or _default_spool(environment))  # noqa: PTH100 - pathlib has none that keeps links
    heartbeat_timeout = _checked_heartbeat_timeout(*setting("heartbeat_timeout", DEFAULT_HEARTBEAT_TIMEOUT))
    return Settings(url, project, mode, timeout, actor, store, trusted, parameters, spool, heartbeat_timeout, stores)


def _listed(text: str) -> tuple[str, ...]:
    """Return what is separated by commas."""
    return tuple(each.strip() for each in text.split(",") if each.strip())


def _default_spool(environment: Mapping[str, str]) -> str:
    home = environment.get("HOME") or os.path.expanduser("~")  # noqa: PTH111 - pathlib takes time to import
    state = environment.get("XDG_STATE_HOME") or os.path.join(home, ".local", "state")  # noqa: PTH118 - as above
    return os.path.join(state, "tallymark", "spool")  # noqa: PTH118 - as above


def checked_url(url: str, source: str) -> str:
    """Return the address without spaces around it, of a socket with its whole path.

    Raises InvalidSetting, with the source, if it is neither HOST:PORT nor unix:PATH.
    """
    address = url.strip()
    if address.startswith("unix:"):
        path = address.removeprefix("unix:")
        path = path.removeprefix("//") if path.startswith("///") else path
        if not path or path.startswith("//") or not path.isprintable():
            raise InvalidSetting(f"{source} is {url!r}, which is no path of a socket, such as unix:/run/tallymark.sock")
        return f"unix:{os.path.abspath(path)}"  # noqa: PTH100 - pathlib takes time to import
    host, _, port = address.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if (
        not bare
        or "/" in host
        or any(ch.isspace() or not ch.isprintable() for ch in host)
        or not (port.isascii() and port.isdecimal())
        or not 0 < int(port) <= 65_535
        or (":" in bare) == (bare == host)
    ):
        raise InvalidSetting(f"{source} is {url!r}, which is not HOST:PORT, such as {DEFAULT_URL}, nor unix:PATH")
    return address


def _checked_actor(actor: str, source: str) -> str:
    # The service's own rule; what is much longer does not even fit the headers of a call.
    if len(actor) > MAX_ACTOR or not actor.isprintable() or actor.strip() != actor:
        raise InvalidSetting(
            f"{source} is {actor[:MAX_ACTOR]!r}; it has at most {MAX_ACTOR} characters, none of them a control"
            " character, and no space at either end"
        )
    return actor


def _one_of(choices: tuple[str, ...], choice: str, source: str) -> str:
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
        raise InvalidSetting(f"{source} is {timeout!r}, which is no number of seconds from 0 to 86400")
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
