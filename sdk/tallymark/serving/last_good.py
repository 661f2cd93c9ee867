"""The file that keeps the version which a service has served last, so that it starts while the registry is away."""

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


class Found(NamedTuple):
    """A version, and the JSON by which a file keeps it."""

    version: ModelVersion
    text: str


class LastGood:
    """The file of one service. It belongs to one reference: what was kept for another is not read."""

    def __init__(self, path: str | os.PathLike[str], reference: str) -> None:
        self._path = Path(path)
        self._reference = reference
        if not self._path.parent.is_dir():
            raise InvalidArgument(f"last_good is {str(path)!r}, and there is no folder {str(self._path.parent)!r}")

    def read(self) -> Found | None:
        """The version that is kept, None if there is none. What cannot be read is logged, and is none."""
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            if kept["reference"] != self._reference:
                logger.warning("%s keeps %s, not %s: not used", self._path, kept["reference"], self._reference)
                return None
            text = json.dumps(kept["version"])
            return Found(messages.version_of_text(text), text)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, LookupError, TypeError) as error:
            logger.warning("%s cannot be used: %s", self._path, error)
            return None

    def keep(self, found: Found) -> None:
        """Keep the version instead of the one before, whole or not at all. That it could not be kept is logged."""
        kept = {"reference": self._reference, "version": json.loads(found.text)}
        try:
            handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=".tallymark-")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(kept, file, indent=2)
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).replace(self._path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            logger.warning("%s cannot be written, so it keeps what it kept: %s", self._path, error)
