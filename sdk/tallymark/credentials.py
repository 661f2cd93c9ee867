"""The token that this program presents to the service. No setting has it, so that it is never shown or recorded.

It comes from TALLYMARK_TOKEN, else from the file that TALLYMARK_TOKEN_FILE names, else from
`~/.config/tallymark/credentials`, which `tallymark login` writes:

    ["grpcs://registry.example.com:50051"]
    token = "tmk_..."
"""

from __future__ import annotations

import ipaddress
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from tallymark.addresses import Address, addresses_of
from tallymark.errors import InvalidSetting
from tallymark.runtime.machine import contexts_path

VARIABLE = "TALLYMARK_TOKEN"
FILE_VARIABLE = "TALLYMARK_TOKEN_FILE"
PLAINTEXT_VARIABLE = "TALLYMARK_PLAINTEXT_TOKEN"
# Longer ones do not fit into the headers of a call.
MAX_TOKEN = 12_000
_OTHERS = 0o077

# What `presenting` has set.
_presented: list[str] = []


def token_for(url: str) -> str | None:
    """Return the token for the service at the address, None if there is none.

    Raises InvalidSetting if the token cannot be read, or would be sent to another machine without encryption. No
    message has the token.
    """
    addresses = addresses_of(url)
    token, source = _found(addresses)
    if token is None:
        return None
    for address in addresses:
        if address.tls or is_this_machine(address) or os.environ.get(PLAINTEXT_VARIABLE) == "on":
            continue
        raise InvalidSetting(
            f"the token from {source} is not sent to {address} without encryption, where others could read it; use"
            f" grpcs://{address.target}, or set {PLAINTEXT_VARIABLE}=on if you trust everything between"
        )
    return token


@contextmanager
def presenting(token: str) -> Iterator[None]:
    """Present this token in the block, whatever is set or kept."""
    _presented.append(token)
    try:
        yield
    finally:
        _presented.pop()


def token_source(url: str) -> str:
    """Return where the token for the service at the address comes from, empty if there is none."""
    return _found(addresses_of(url))[1]


def is_this_machine(address: Address) -> bool:
    """Return whether the address is a socket, or an address of this machine itself."""
    if address.is_socket or address.host.lower().rstrip(".").rpartition(".")[2] == "localhost":
        return True
    try:
        return ipaddress.ip_address(address.host).is_loopback
    except ValueError:
        return False


def checked_token(text: str, source: str) -> str:
    """Return the token without surrounding spaces. Raises InvalidSetting, which does not show it."""
    token = text.strip()
    if not token or len(token) > MAX_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidSetting(
            f"{source} holds no token: one is a single line of up to {MAX_TOKEN:,} visible ASCII characters; create one"
            " with tallymark access token create"
        )
    return token


def credentials_path() -> str:
    """Return the path of the file that `tallymark login` writes: beside that of the contexts."""
    return os.path.join(os.path.dirname(contexts_path()), "credentials")  # noqa: PTH118, PTH120 - pathlib takes time to import


def store(url: str, token: str | None) -> bool:
    """Keep the token for the service at these addresses, or with None forget it. Return whether there was one before.

    The file is replaced as a whole, and only its owner can read it. Raises InvalidSetting or OSError.
    """
    import tempfile

    path, keys = credentials_path(), list(map(str, addresses_of(url)))
    before = _stored(path)
    had = not before.keys().isdisjoint(keys)
    tokens = {key: text for key, text in before.items() if key not in keys}
    if token is not None:
        tokens |= dict.fromkeys(keys, token)
    elif not had:
        return False
    folder = os.path.dirname(path)  # noqa: PTH120 - as above
    os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103 - as above
    lines = [f"[{json.dumps(each)}]\ntoken = {json.dumps(text)}\n" for each, text in sorted(tokens.items())]
    # mkstemp creates the file with mode 0600. It is renamed once it is complete and on the disk.
    handle, partial = tempfile.mkstemp(dir=folder, prefix=".credentials-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write("\n".join(lines))
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)  # noqa: PTH105 - a name that mkstemp gave
    except BaseException:
        os.unlink(partial)  # noqa: PTH108 - a name that mkstemp gave
        raise
    return had


def _found(addresses: tuple[Address, ...]) -> tuple[str | None, str]:
    """Return the token and its source, None and an empty text if there is none."""
    if _presented:
        return _presented[-1], "the input"
    if text := os.environ.get(VARIABLE):
        return checked_token(text, VARIABLE), VARIABLE
    if path := os.environ.get(FILE_VARIABLE):
        return checked_token(_read(path, FILE_VARIABLE), f"{path} ({FILE_VARIABLE})"), FILE_VARIABLE
    path = credentials_path()
    if not os.path.exists(path):  # noqa: PTH110 - as above
        return None, ""
    stored = _stored(path)
    token = next((stored[str(each)] for each in addresses if str(each) in stored), None)
    return (None, "") if token is None else (checked_token(token, path), path)


def _stored(path: str) -> dict[str, str]:
    """Return the tokens in the file by address. Raises InvalidSetting."""
    import tomllib

    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - as above
    except OSError:
        return {}
    if stat.S_IMODE(mode) & _OTHERS:
        raise InvalidSetting(f"{path} holds tokens, and other users of this machine can read it; run chmod 600 {path}")
    try:
        found = tomllib.loads(_read(path, "tallymark login"))
        return {str(addresses_of(key)[0]): str(entry["token"]) for key, entry in found.items()}
    except (tomllib.TOMLDecodeError, InvalidSetting, KeyError, TypeError, AttributeError):
        # The error would quote the line, which has a token.
        raise InvalidSetting(f"{path} is not as tallymark login writes it; remove it, and log in again") from None


def _read(path: str, source: str) -> str:
    try:
        # What is not UTF-8 becomes characters that no token has.
        with open(path, encoding="utf-8", errors="replace") as stream:  # noqa: PTH123 - as above
            return stream.read(2 * MAX_TOKEN) if source == FILE_VARIABLE else stream.read()
    except OSError as error:
        raise InvalidSetting(f"cannot read {path} ({source}): {error.strerror}") from None
