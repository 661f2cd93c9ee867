"""The file that stores the version that a service has served last, to start while the registry is unavailable."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

from tallymark.client import messages
from tallymark.errors import InvalidArgument
from tallymark.types.resources import ModelVersion

logger = logging.getLogger("tallymark.serving")


class StoredVersion(NamedTuple):
    """A version, and its JSON in a file."""

    version: ModelVersion
    text: str


class LastGood:
    """The file of one service, for one reference: the version of another reference in it is ignored."""

    def __init__(self, path: str | os.PathLike[str], reference: str) -> None:
        self._path = Path(path)
        self._reference = reference
        if not self._path.parent.is_dir():
            raise InvalidArgument(f"last_good is {str(path)!r}, and there is no folder {str(self._path.parent)!r}")

    def read(self) -> StoredVersion | None:
        """Return the version in the file, None if there is none. Log a file that cannot be read, and return None."""
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            if content["reference"] != self._reference:
                logger.warning("%s keeps %s, not %s: not used", self._path, content["reference"], self._reference)
                return None
            text = json.dumps(content["version"])
            return StoredVersion(messages.version_of_text(text), text)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, LookupError, TypeError) as error:
            logger.warning("%s cannot be used: %s", self._path, error)
            return None

    def write(self, stored: StoredVersion) -> None:
        """Replace the version in the file atomically. If that fails, log it."""
        content = {"reference": self._reference, "version": json.loads(stored.text)}
        try:
            handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=".tallymark-")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(content, file, indent=2)
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).replace(self._path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            logger.warning("%s cannot be written, so it still has the version before: %s", self._path, error)
