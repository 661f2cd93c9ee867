"""Which stores artifacts are fetched from: the user's own, and those that a setting names.

A link in the registry may name any address. Who loads an artifact must not be led to files of this machine, or to
services that only this machine can reach, by whoever could write the link.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tallymark.errors import StoreNotTrusted, StoreUnavailable
from tallymark.settings import Settings


def uri_of(store: str) -> str:
    """Return the URI of a store that is a folder or a URI, without a slash at its end."""
    if "://" in store:
        return store.rstrip("/")
    # fsspec takes a path as it is written, so an encoded one would be another folder; "::" separates its file systems.
    return f"file://{Path(store).absolute().as_posix()}".replace("::", "%3A%3A").rstrip("/")


def check_trusted(uri: str, settings: Settings) -> None:
    """Raise StoreNotTrusted unless the URI lies in the store in force, or in one that the settings trust."""
    stores = [uri_of(store) for store in (settings.store, *settings.trusted_stores)]
    if not any(_lies_in(uri, store) for store in stores):
        folder = uri.rpartition("/")[0]
        raise StoreNotTrusted(
            f"{uri} is fetched only if you trust it: it lies outside of your store, {stores[0]}. If whoever linked it"
            f" may choose what you read, set TALLYMARK_TRUSTED_STORES={folder} (several are separated by commas), or"
            f" call tallymark.configure(trusted_stores=[{folder!r}])"
        )


def _lies_in(uri: str, store: str) -> bool:
    """Return whether a file lies in a store, by what is written: drivers resolve neither of the two."""
    scheme, _, rest = uri.partition("://")
    trusted_scheme, _, root = store.partition("://")
    if not rest or scheme.lower() != trusted_scheme.lower() or not rest.startswith(f"{root}/"):
        return False
    inner = rest.removeprefix(root)
    # "::" would name another file system, and the rest would lead out of the store again.
    return "::" not in inner and not {".", ".."} & set(inner.replace("\\", "/").split("/"))


@contextmanager
def opened(files: Any, place: str) -> Iterator[IO[bytes]]:
    """Give a file to read: on this machine only a regular one. Raises StoreUnavailable and what drivers raise.

    A pipe would never end, nor would a device; and to open the one waits for somebody who writes.
    """
    from fsspec.implementations.local import LocalFileSystem

    if not isinstance(files, LocalFileSystem):
        with files.open(place, "rb") as source:
            yield source
        return
    with os.fdopen(
        os.open(place, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb"
    ) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise StoreUnavailable(f"{place} is no regular file; link a file, or save a folder as an artifact")
        yield file
