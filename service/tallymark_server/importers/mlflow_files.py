"""A folder of MLflow, `mlruns`: models, versions, runs and logged models as files, also if they were copied.

It is read without MLflow, which misses a run if git, zip or rsync has left out its empty folders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import yaml

from tallymark_server.importers.mlflow_records import (
    DELETED_STAGE,
    Counts,
    LoggedModelRecord,
    ModelRecord,
    PointRecord,
    RunRecord,
    Unread,
    VersionRecord,
    model_of,
    point_of,
    version_number,
    version_of,
)
from tallymark_server.importers.source_fields import micros, text
from tallymark_server.importers.source_model import CannotReadError, CorruptError, ForbiddenError, MissingError

META = "meta.yaml"
# Files of facts are small; a larger file is none.
MAX_FILE = 16 * 1024 * 1024
_STATES = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}

T = TypeVar("T")


class FolderSource:
    """A folder with `models`, or with experiments and their runs, or with both."""

    limits: tuple[str, ...] = (
        "of the folder: numbers of models that were deleted as a whole, which leave nothing behind",
    )

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise CannotReadError(f"there is no folder {root}")
        self._root = root
        self._runs: dict[str, Path] | None = None
        self._logged: dict[str, Path] | None = None
        if not self.is_one(root):
            raise CannotReadError(f"{root} is no MLflow server, database, or folder with models or runs in it")

    @staticmethod
    def is_one(root: Path) -> bool:
        """Return whether the folder has a registry or an experiment."""
        return (root / "models").is_dir() or any((folder / META).is_file() for folder in _folders(root))

    def models(self) -> Iterator[ModelRecord | Unread]:
        """Yield every registered model by name."""
        seen: set[str] = set()
        for folder in _folders(self._root / "models"):
            where = f"model {folder.name}"

            def read(folder: Path = folder) -> ModelRecord:
                raw = _meta(folder)
                aliases = {
                    name: version_number({name: line}, name) for name, line in _files(folder / "aliases").items()
                }
                highest = max((_number_in(version) for version in _versions(folder)), default=0)
                return model_of({"name": folder.name, **raw}, _files(folder / "tags"), aliases, highest)

            found = _guarded(where, read)
            if isinstance(found, ModelRecord):
                if found.name in seen:
                    found = Unread(where, f"another folder has the model {found.name!r} already")
                else:
                    seen.add(found.name)
            yield found

    def versions(self, model: ModelRecord) -> Iterator[VersionRecord | Unread]:
        """Return the versions of the model that are not deleted, by number."""
        seen: set[int] = set()
        for folder in sorted(_versions(self._model_folder(model.name)), key=_number_in):
            where = f"version {model.name}/{folder.name.removeprefix('version-')}"
            found = _guarded(where, partial(_version, folder))
            if isinstance(found, VersionRecord):
                if found.stage == DELETED_STAGE:
                    continue
                if found.number in seen:
                    found = Unread(where, f"another folder has the number {found.number} already")
                else:
                    seen.add(found.number)
            yield found

    def run(self, run_id: str) -> RunRecord:
        """Return the run. Raises MissingError, CorruptError or ForbiddenError."""
        folder = self._run_folders().get(run_id)
        if folder is None:
            raise MissingError("it is not there")
        raw = _reading(lambda: _meta(folder))
        return _reading(
            lambda: RunRecord(
                id=run_id,
                experiment=self._experiment(folder.parent),
                name=text(raw, "run_name"),
                state=_state(raw),
                user=text(raw, "user_id"),
                start=micros(raw, "start_time") or 0,
                end=micros(raw, "end_time"),
                parameters={key: value.rstrip("\n") for key, value in _files(folder / "params").items()},
                tags=_files(folder / "tags"),
                points=_points(folder / "metrics"),
            )
        )

    def run_ids(self) -> Iterator[str]:
        """Yield the ids of all runs, including deleted ones."""
        yield from sorted(self._run_folders())

    def logged_model(self, model_id: str) -> LoggedModelRecord:
        """Return the logged model. Raises MissingError, CorruptError or ForbiddenError."""
        if self._logged is None:
            self._logged = {
                folder.name: folder for experiment in self._experiments() for folder in _folders(experiment / "models")
            }
        folder = self._logged.get(model_id)
        if folder is None:
            raise MissingError("it is not there")
        return _reading(
            lambda: LoggedModelRecord(
                location=text(_meta(folder), "artifact_location"),
                parameters={key: value.rstrip("\n") for key, value in _files(folder / "params").items()},
                tags=_files(folder / "tags"),
                points=_points(folder / "metrics"),
            )
        )

    def counts(self) -> Counts:
        """Return how many files of facts there are."""
        models = self._root / "models"
        deleted = sum(
            DELETED_STAGE.encode() in path.read_bytes()
            for path in models.glob("*/version-*/meta.yaml")
            if not path.parent.parent.name.startswith(".")
        )
        versions = [path for path in models.glob("*/version-*") if not path.parent.name.startswith(".")]
        return Counts(
            models=sum(path.is_dir() and not path.name.startswith(".") for path in models.glob("*")),
            versions=len(versions) - deleted,
            runs=len(self._run_folders()),
        )

    def _model_folder(self, name: str) -> Path:
        direct = self._root / "models" / name
        if direct.is_dir() and "/" not in name:
            return direct
        for folder in _folders(self._root / "models"):
            if _guarded("", partial(_name, folder)) == name:
                return folder
        return direct

    def _experiments(self) -> Iterator[Path]:
        for root in (self._root, self._root / ".trash"):
            for folder in _folders(root):
                if folder.name != "models" or (folder / META).is_file():
                    yield folder

    def _run_folders(self) -> dict[str, Path]:
        if self._runs is None:
            self._runs = {
                folder.name: folder
                for experiment in self._experiments()
                for folder in _folders(experiment)
                if (folder / META).is_file() or (folder / "params").is_dir() or (folder / "metrics").is_dir()
            }
        return self._runs

    def _experiment(self, folder: Path) -> str:
        found = _guarded("", partial(_name, folder))
        return found if isinstance(found, str) and found else folder.name


def _version(folder: Path) -> VersionRecord:
    return version_of(_meta(folder), _files(folder / "tags"))


def _name(folder: Path) -> str:
    return text({"name": folder.name, **_meta(folder)}, "name")


def _folders(root: Path) -> list[Path]:
    try:
        return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CannotReadError(f"cannot read the folder {root}: {error.strerror}") from None


def _versions(folder: Path) -> list[Path]:
    return [path for path in _folders(folder) if path.name.startswith("version-")]


def _number_in(folder: Path) -> int:
    digits = folder.name.removeprefix("version-")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else 0


def _meta(folder: Path) -> Mapping[str, Any]:
    content = _content(folder / META)
    try:
        raw = yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise CorruptError(f"its {META} is no YAML: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(raw, dict):
        raise CorruptError(f"its {META} holds nothing that describes it")
    return {str(key): value for key, value in raw.items()}


def _content(path: Path) -> str:
    """Return the text of a small file. Raises CorruptError or OSError."""
    if path.stat().st_size > MAX_FILE:
        raise CorruptError(f"its file {path.name} is larger than {MAX_FILE:,} bytes")
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise CorruptError(f"its file {path.name} is not UTF-8 at byte {error.start}") from None


def _files(folder: Path) -> dict[str, str]:
    """Return the texts of the files in the folder by relative path, since a key with a slash becomes a folder."""
    if not folder.is_dir():
        return {}
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): _content(path) for path in found}


def _points(folder: Path) -> list[PointRecord]:
    points = []
    for key, content in _files(folder).items():
        for line in content.splitlines():
            if not line.strip():
                continue
            time, value, step, *_ = [*line.split(), None, None]
            raw = {"key": key, "timestamp": time, "value": value, "step": step}
            points.append(point_of(raw))
    return points


def _state(raw: Mapping[str, Any]) -> str:
    status = raw.get("status")
    return _STATES.get(status, "RUNNING") if isinstance(status, int) else text(raw, "status")


def _reading(read: Callable[[], T]) -> T:
    """Return the result of the function. Turns an OSError into an error about the object."""
    try:
        return read()
    except FileNotFoundError as error:
        raise MissingError(f"its file {Path(error.filename or '').name} is not there") from None
    except PermissionError as error:
        raise ForbiddenError(f"its file {Path(error.filename or '').name} may not be read") from None
    except OSError as error:
        raise CorruptError(f"a file of it cannot be read: {error.strerror}") from None


def _guarded(where: str, read: Callable[[], T]) -> T | Unread:
    try:
        return _reading(read)
    except (CorruptError, MissingError, ForbiddenError) as error:
        return Unread(where, str(error))
