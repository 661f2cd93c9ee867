"""Restore refusals from receipts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tallymark_server.domain.errors.branches import RegistryError


def remembered(reason: str, message: str, metadata: Mapping[str, str]) -> RegistryError:
    """Return the refusal with that reason, message and metadata. Raises KeyError if there is no such reason."""
    kind = next((leaf for leaf in _leaves(RegistryError) if leaf.reason == reason), None)
    if kind is None:
        raise KeyError(reason)
    error = kind.__new__(kind)
    RegistryError.__init__(error, message, **metadata)
    return error


def _leaves(branch: type[RegistryError]) -> Iterator[type[RegistryError]]:
    for kind in branch.__subclasses__():
        if hasattr(kind, "reason"):
            yield kind
        yield from _leaves(kind)
