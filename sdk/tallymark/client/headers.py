"""The headers of calls: who acts, and the token that the program presents."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from tallymark.credentials import token_for
from tallymark.settings import Settings

Pairs = tuple[tuple[str, str], ...]


class Headers:
    """The headers of every call of a client. The token is read at the first call, and again when it is refused."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.url
        # Percent-encoded, since headers are ASCII.
        self._actor = ("tallymark-actor", quote(settings.actor, safe="@ "))
        self._pairs: Pairs | None = None
        self._is_traced = settings.otel == "on"

    def pairs(self) -> Pairs:
        """Return the headers. Raises InvalidSetting if the token cannot be read, or must not be sent there."""
        if self._is_traced:
            from tallymark.runtime import spans

            return (*self.caller(), *spans.headers())
        return self.caller()

    def caller(self) -> Pairs:
        """Return the headers that say who calls, as long as `renew` finds no others. Raises as `pairs` does."""
        if self._pairs is None:
            self._pairs = self._read()
        return self._pairs

    def renew(self, refused: Pairs) -> bool:
        """Read the token again, and return whether it is another one than was refused: it may have been rotated.

        Another call that was refused may have read the new one already.
        """
        self._pairs = self._read()
        return self._pairs != refused

    def __getstate__(self) -> dict[str, Any]:
        # A copy reads the token itself, where it is used; a pickle on a disk must not have it.
        return {**vars(self), "_pairs": None}

    def _read(self) -> Pairs:
        token = token_for(self._url)
        return (self._actor,) if token is None else (self._actor, ("authorization", f"Bearer {token}"))
