"""The tokens of pages of lists."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re

from tallymark_server.domain.errors import InvalidPageToken
from tallymark_server.domain.query import SortKey

DEFAULT_PAGE = 50
MAX_PAGE = 1000
# Three sort keys and the list's own, of 255 characters each, escaped for JSON and in base64, and the rest of a token.
MAX_TOKEN = 16_384
_LARGEST = 2**63 - 1
_HALF = re.compile("[\ud800-\udfff]")


def page_size(asked: int) -> int:
    """Return how many items a page has at most."""
    return min(asked, MAX_PAGE) if asked > 0 else DEFAULT_PAGE


def make_token(scope: str, at: int | None, keys: tuple[SortKey, ...]) -> str:
    """Return the token for the page after these sort keys in the list of that scope, as of that revision."""
    return base64.urlsafe_b64encode(json.dumps([_mark(scope), at, *keys]).encode()).decode().rstrip("=")


def parse_token(token: str, scope: str, kinds: tuple[type, ...]) -> tuple[int | None, tuple[SortKey, ...]]:
    """Return the revision and the sort keys, of these kinds, of the token. Raises InvalidPageToken."""
    of, at, keys = _parts(token)
    if of != _mark(scope) or len(keys) != len(kinds) or not all(map(_is_key, keys, kinds)):
        raise InvalidPageToken
    return at, tuple(keys)


def revision_of(token: str) -> int | None:
    """Return the revision that the pages of the token's list show, whatever list it is. Raises InvalidPageToken."""
    _, at, _ = _parts(token)
    return at


def _parts(token: str) -> tuple[str, int | None, list[SortKey]]:
    """Return the mark of the list, the revision, and the sort keys of any kind. Raises InvalidPageToken."""
    if len(token) > MAX_TOKEN:
        raise InvalidPageToken
    try:
        found = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        raise InvalidPageToken from None
    match found:
        case [str(of), int() | None as at, *keys] if at is None or _is_key(at, int):
            return of, at, keys
    raise InvalidPageToken


def _is_key(key: object, kind: type) -> bool:
    if isinstance(key, int):
        return type(key) is int and abs(key) <= _LARGEST and issubclass(int, kind)
    # A text of JSON can have halves of characters, which are no text to a database.
    return isinstance(key, kind) and (key is None or isinstance(key, float) or _is_text(key))


def _is_text(key: object) -> bool:
    return isinstance(key, str) and not _HALF.search(key)


def _mark(scope: str) -> str:
    """Return a short text for the list that a token belongs to, however long its filter."""
    return hashlib.sha256(scope.encode()).hexdigest()[:16]
