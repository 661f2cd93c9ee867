"""The methods of a `Model` that save, load and download artifacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from tallymark.errors import ArtifactNotFound
from tallymark.settings import current

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from tallymark.client.blocking import Client
    from tallymark.tracking.model_spec import ModelSpec
    from tallymark.types.artifact_info import ArtifactInfo
    from tallymark.types.enums import ArtifactType
    from tallymark.types.resources import ModelVersion


class ModelArtifacts:
    """The methods of a `Model` that save, load and download artifacts."""

    if TYPE_CHECKING:

        def log_metadata(self, metadata: Mapping[str, object]) -> None: ...
        def _client(self) -> Client: ...
        def _ensure(self) -> ModelVersion: ...
        def _find(self) -> ModelVersion: ...

    @property
    def artifacts(self) -> list[ArtifactInfo]:
        """The artifacts that the version produced or used, in the order of linking; each access reads them again.

        Raises ModelNotFound, VersionNotFound, Unavailable.
        """
        return [] if current().disabled else self._find().artifacts

    def save(
        self,
        name: str,
        value: object,
        *,
        format: str | None = None,  # noqa: A002 - the contract's word
        type: ArtifactType | str | None = None,  # noqa: A002 - the contract's word
    ) -> ArtifactInfo | None:
        """Save a value to the store, and link it to the version as an artifact that it produced.

        In a run, the bytes wait in the spool while the registry or a remote store is unavailable.

        Args:
            name: The artifact's name. Saving under the same name again creates its next ordinal.
            value: The value. It decides the format: estimators of scikit-learn become skops, models of LightGBM,
                XGBoost and Keras the formats of these libraries, tensors safetensors, arrays npy, tables parquet,
                figures png, numbers, lists and mappings JSON; a pathlib.Path is the file or folder at that path.
            format: The name of another format; `tallymark.artifacts.formats` has them all. `joblib` is a pickle.
            type: `data`, `model` or `deployment`; by default that of the format.

        Returns:
            The artifact; None while its link waits in the spool, or nothing is recorded.

        Raises:
            InvalidArgument: No format supports the value, it cannot be written, or it could not be loaded again.
            InvalidSetting: The store's libraries are not installed.
            StoreUnavailable: The store cannot be written (in a run, if it is a folder or the spool fails too).
        """
        if current().disabled:
            return None
        from tallymark.artifacts import save_load
        from tallymark.tracking.resolution import current_frame_or_none

        frame = current_frame_or_none()
        if frame is None:
            return save_load.save(self._client(), self._ensure(), name, value, format=format, type=type)
        from tallymark.tracking import run_artifacts

        return run_artifacts.save_in_run(frame, cast("ModelSpec", self), name, value, format, type)

    def log_model(self, model: object, name: str = "model", *, format: str | None = None) -> ArtifactInfo | None:  # noqa: A002 - the contract's word
        """Save a trained model as an artifact, and log its library and class as metadata.

        The metadata are `{name}_library`, such as `sklearn 1.9.1`, and `{name}_class`.

        Args:
            model: The trained model.
            name: The artifact's name.
            format: The name of a format, as for `save`.

        Returns:
            The artifact, or None, as `save` does.

        Raises:
            InvalidArgument, InvalidSetting, StoreUnavailable: As `save` does.
        """
        saved = self.save(name, model, format=format, type="model")
        library = type(model).__module__.partition(".")[0]
        version = _version_of(library)
        self.log_metadata(
            {f"{name}_library": f"{library} {version}".strip(), f"{name}_class": type(model).__qualname__}
        )
        return saved

    def download(self, name: str, folder: str | os.PathLike[str] = ".", *, force: bool = False) -> Path:
        """Download an artifact into a folder, and verify its digest.

        The file has the name of the artifact, such as `classifier.skops`; an artifact that is a folder becomes one.

        Args:
            name: The artifact's name, as for `load`.
            folder: The target folder, created if it does not exist.
            force: Replace an existing file or folder.

        Returns:
            The path of the downloaded file or folder.

        Raises:
            AlreadyExists: The file or folder exists, and `force` is False.
            ModelNotFound, VersionNotFound, ArtifactNotFound: It does not exist.
            DigestMismatch: The bytes are not those that were linked.
            StoreNotTrusted: The artifact is outside the stores that the settings trust.
            StoreUnavailable: The store cannot be read.
        """
        if current().disabled:
            raise ArtifactNotFound(
                f"nothing is recorded (TALLYMARK_MODE=disabled), so {self!r} has no artifact {name!r}"
            )
        return self._find().download(name, folder, force=force)

    def load(
        self,
        name: str,
        *,
        format: str | None = None,  # noqa: A002 - the contract's word
        trusted: Sequence[str] = (),
    ) -> Any:
        """Load the value of an artifact, and verify its digest.

        Within a run, the artifact is also linked to the version of the model in force, as one that it used.

        Args:
            name: The artifact's name: `classifier` for the newest, `classifier@2` for the second of that name.
            format: The format, if not that in which it was saved; `joblib`, a pickle, must be named here.
            trusted: Types that a file in the format skops may contain, in addition to those of scikit-learn, LightGBM
                and XGBoost and of the setting `trusted_types`: qualified names, or `my_package.*`.

        Returns:
            The value. A figure is returned as the bytes of its image, a file or folder as the pathlib.Path of a copy
            in a temporary folder, which is removed when this process ends; `download` creates a copy that stays.

        Raises:
            ModelNotFound, VersionNotFound, ArtifactNotFound: It does not exist.
            DigestMismatch: The bytes are not those that were linked.
            InvalidArgument: The file is not in its format, or contains types that are not trusted.
            StoreNotTrusted: The artifact is outside the stores that the settings trust.
            StoreUnavailable: The store cannot be read.
        """
        if current().disabled:
            raise ArtifactNotFound(
                f"nothing is recorded (TALLYMARK_MODE=disabled), so {self!r} has no artifact {name!r}"
            )
        return self._find().load(name, format=format, trusted=trusted)


def _version_of(library: str) -> str:
    """Return the version of the library that a value is of, empty if it has none."""
    try:
        return str(getattr(import_module(library), "__version__", ""))
    except ImportError:  # a module that a program made, such as that of a notebook or of a loaded pickle
        return ""
