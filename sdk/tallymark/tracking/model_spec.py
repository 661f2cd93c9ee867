"""The arguments of a `Model`, without the methods that call the registry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from tallymark.arguments import described, text, texts
from tallymark.errors import InvalidArgument
from tallymark.tracking.version_cache import VersionCache
from tallymark.types.enums import Stage

S = TypeVar("S", bound="ModelSpec")


class ModelSpec:
    """The name and version that a `Model` is given, the description of a model to create, and the cached versions."""

    def __init__(
        self,
        name: str,
        version: str | int | Stage | None = None,
        *,
        description: str = "",
        license: str = "",  # noqa: A002 - the contract's word
        audience: str = "",
        use_cases: str = "",
        limitations: str = "",
        trade_offs: str = "",
        ethics: str = "",
        tags: Iterable[str] = (),
    ) -> None:
        self.name = text(name, "Model(name=...)")
        self.version = _version_text(version)
        self.tags = texts((tags,) if isinstance(tags, str) else tags, "Model(tags=...)")
        self._card = {
            "description": description,
            "license": license,
            "audience": audience,
            "use_cases": use_cases,
            "limitations": limitations,
            "trade_offs": trade_offs,
            "ethics": ethics,
        }
        for field, value in self._card.items():
            text(value, f"Model({field}=...)")
        self._version_cache = VersionCache()
        self._view: ModelSpec | None = None

    def __repr__(self) -> str:
        return f"Model({self.name!r})" if self.version is None else f"Model({self.name!r}, {self.version!r})"

    def __eq__(self, other: object) -> bool:
        """Return whether both have the same name and version, whatever the registry holds."""
        return isinstance(other, ModelSpec) and (self.name, self.version) == (other.name, other.version)

    def __hash__(self) -> int:
        return hash((self.name, self.version))


def version_cache_of(model: ModelSpec) -> VersionCache:
    """Return the versions that the model was resolved to."""
    return model._version_cache  # noqa: SLF001 - users should not see it among what a model has


def card_of(model: ModelSpec) -> Mapping[str, str]:
    """Return the model card, which describes the model when it is created."""
    return model._card  # noqa: SLF001 - users should not see it among what a model has


def view_as(spec: ModelSpec, kind: type[S]) -> S:
    """Return the spec as an object of a subclass with more methods; each call returns the same object."""
    if isinstance(spec, kind):
        return spec
    found = spec._view  # noqa: SLF001 - as above
    if not isinstance(found, kind):
        found = kind.__new__(kind)
        vars(found).update(vars(spec))
        spec._view = found  # noqa: SLF001 - as above
    return found


def _version_text(version: str | int | Stage | None) -> str | None:
    match version:
        case None:
            return None
        case bool():
            raise InvalidArgument("version is a number, text, a stage or None, not a bool")
        case int() if version < 1:
            raise InvalidArgument(f"version is {version}; numbers start at 1; pass None for a new one")
        case int():
            return str(version)
        case str():
            if not version:
                raise InvalidArgument("version is empty; pass None for a new one, numbered automatically")
            return str(text(version, "Model(version=...)"))
        case _:
            raise InvalidArgument(f"version is a number, text, a stage or None, not {described(version)}")
