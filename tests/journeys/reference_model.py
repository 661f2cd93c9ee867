"""A reference model: the rules of the registry in their simplest form, for comparison with a real server."""

from __future__ import annotations

from dataclasses import dataclass, field

EXCLUSIVE = ("staging", "production")


class RefusedError(Exception):
    """A refusal of the model, with the reason that the server should give."""


@dataclass
class Version:
    number: int
    name: str
    stage: str = "none"
    run: str = ""
    aliases: set[str] = field(default_factory=set)
    metadata: dict[str, float] = field(default_factory=dict)
    series: dict[str, int] = field(default_factory=dict)
    deleted: bool = False
    purged: bool = False
    automatic: bool = False


class ReferenceModel:
    """The rules of the registry in their simplest form."""

    def __init__(self) -> None:
        self.models: dict[str, list[Version]] = {}
        self.runs: dict[str, str] = {}

    def versions(self, model: str) -> list[Version]:
        if model not in self.models:
            raise RefusedError("MODEL_NOT_FOUND")
        return self.models[model]

    def create_model(self, model: str) -> None:
        if model in self.models:
            raise RefusedError("MODEL_EXISTS")
        self.models[model] = []

    def create(self, model: str, name: str, run: str = "") -> Version:
        versions = self.versions(model)
        if name and any(version.name == name for version in versions):
            raise RefusedError("VERSION_NAME_TAKEN")
        versions.append(Version(len(versions) + 1, name, run=run))
        return versions[-1]

    def find(self, model: str, reference: str) -> Version:
        """Return the version that the reference resolves to, for a read."""
        version = self.any(model, reference)
        if version.deleted:
            raise RefusedError("VERSION_NOT_FOUND")
        return version

    def change(self, model: str, reference: str) -> Version:
        """Return the version that the reference resolves to, for a change."""
        version = self.any(model, reference)
        if version.deleted:
            raise RefusedError("VERSION_DELETED")
        return version

    def any(self, model: str, reference: str) -> Version:
        found = [version for version in self.versions(model) if self.means(model, version, reference)]
        if found:
            return found[-1]
        if reference in ("@production", "@staging"):
            raise RefusedError("STAGE_EMPTY")
        raise RefusedError("ALIAS_NOT_FOUND" if reference.startswith("@") else "VERSION_NOT_FOUND")

    def means(self, model: str, version: Version, reference: str) -> bool:
        if version.purged:
            return False
        if reference == "latest":
            return not version.deleted and all(other.deleted for other in self.models[model][version.number :])
        if reference.startswith("@"):
            return reference[1:] in version.aliases or (version.stage == reference[1:] and reference[1:] in EXCLUSIVE)
        return (version.name == reference[1:]) if reference.startswith("=") else version.number == int(reference)

    def ensure(self, model: str, reference: str, run: str) -> tuple[Version, bool]:
        if run and run not in self.runs:
            raise RefusedError("RUN_NOT_FOUND")
        if reference and not reference.startswith("="):
            return self.change(model, reference), False
        for version in self.models.get(model, []):
            if reference and version.name == reference[1:]:
                return self.change(model, reference), False
            if not reference and run and version.run == run and version.automatic:
                return version, False
        self.models.setdefault(model, [])
        version = self.create(model, reference[1:], run)
        version.automatic = bool(run and not reference)
        return version, True

    def finish_run(self, run: str, state: str) -> None:
        if run not in self.runs:
            raise RefusedError("RUN_NOT_FOUND")
        if self.runs[run] not in ("running", state):
            raise RefusedError("RUN_FINISHED")
        self.runs[run] = state

    def set_stage(self, model: str, reference: str, stage: str, force: bool, allowed: bool, reason: str) -> Version:
        version = self.change(model, reference)
        unfinished = version.run and self.runs[version.run] != "succeeded"
        if stage in EXCLUSIVE and version.stage != stage and unfinished and not (allowed and reason):
            raise RefusedError("INVALID_FIELD" if allowed else "RUN_NOT_SUCCEEDED")
        holders = [other for other in self.models[model] if other.stage == stage and other is not version]
        if stage in EXCLUSIVE and holders and version.stage != stage:
            if not force:
                raise RefusedError("STAGE_OCCUPIED")
            holders[0].stage = "archived"
        version.stage = stage
        return version

    def set_alias(self, model: str, reference: str, alias: str, expected: int | None) -> Version:
        version = self.change(model, reference)
        holder = next((other for other in self.models[model] if alias in other.aliases), None)
        if expected is not None and expected != (holder.number if holder else 0):
            raise RefusedError("ALIAS_MOVED")
        if holder:
            holder.aliases.discard(alias)
        version.aliases.add(alias)
        return version

    def delete_alias(self, model: str, alias: str) -> Version:
        version = self.change(model, f"@{alias}")
        version.aliases.discard(alias)
        return version

    def delete(self, model: str, reference: str, force: bool) -> Version:
        version = self.change(model, reference)
        if version.stage == "production" and not force:
            raise RefusedError("VERSION_IN_USE")
        version.stage = "archived" if version.stage in EXCLUSIVE else version.stage
        version.aliases.clear()
        version.deleted, version.automatic = True, False
        return version

    def undelete(self, model: str, reference: str) -> Version:
        version = self.any(model, reference)
        if not version.deleted:
            raise RefusedError("VERSION_NOT_DELETED")
        version.deleted = False
        return version

    def purge(self, model: str, reference: str) -> Version:
        version = self.any(model, reference)
        if not version.deleted:
            raise RefusedError("VERSION_NOT_DELETED")
        version.purged = True
        return version

    def log(self, model: str, reference: str, key: str, value: float, step: int | None) -> Version:
        version = self.change(model, reference)
        if step is None:
            version.metadata[key] = value
            version.series.pop(key, None)
        elif step >= version.series.get(key, 0):
            version.metadata[key], version.series[key] = value, step
        return version

    def rename(self, model: str, reference: str, name: str) -> Version:
        version = self.change(model, reference)
        if name and any(other.name == name for other in self.models[model] if other is not version):
            raise RefusedError("VERSION_NAME_TAKEN")
        version.name = name
        return version
