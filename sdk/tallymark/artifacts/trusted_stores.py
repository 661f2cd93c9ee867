"""The stores from which artifacts may be fetched: the user's own, and those in the setting `trusted_stores`.

A link in the registry may contain any URI. Without this check, anyone who can write to the registry could make a reader
open local files, or call services in the reader's network.
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
    # fsspec does not decode paths, so only "::", which separates its file systems, is encoded.
    return f"file://{Path(store).absolute().as_posix()}".replace("::", "%3A%3A").rstrip("/")


def check_trusted(uri: str, settings: Settings) -> None:
    """Raise StoreNotTrusted unless the URI is in the store of the settings, or in one that they trust."""
    stores = [uri_of(store) for store in (settings.store, *settings.trusted_stores)]
    if not any(_is_in(uri, store) for store in stores):
        folder = uri.rpartition("/")[0]
        raise StoreNotTrusted(
            f"{uri} is fetched only if you trust it: it lies outside of your store, {stores[0]}. If whoever linked it"
            f" may choose what you read, set TALLYMARK_TRUSTED_STORES={folder} (several are separated by commas), or"
            f" call tallymark.configure(trusted_stores=[{folder!r}])"
        )


def _is_in(uri: str, store: str) -> bool:
    """Return whether a file is in a store, by comparing the URIs as text, because drivers do not resolve them."""
    scheme, _, rest = uri.partition("://")
    trusted_scheme, _, root = store.partition("://")
    if not rest or scheme.lower() != trusted_scheme.lower() or not rest.startswith(f"{root}/"):
        return False
    inner = rest.removeprefix(root)
    # "::" leads to another file system, "." and ".." out of the store.
    return "::" not in inner and not {".", ".."} & set(inner.replace("\\", "/").split("/"))


@contextmanager
def open_for_reading(files: Any, path: str) -> Iterator[IO[bytes]]:
    """Open a file for reading. Raises StoreUnavailable, and the errors of drivers.

    A local file must be a regular file: reading a pipe or device may never end, and opening a pipe may block.
    """
    from fsspec.implementations.local import LocalFileSystem

    if not isinstance(files, LocalFileSystem):
        with files.open(path, "rb") as source:
            yield source
        return
    with os.fdopen(
        os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb"
    ) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise StoreUnavailable(f"{path} is no regular file; link a file, or save a folder as an artifact")
        yield file
