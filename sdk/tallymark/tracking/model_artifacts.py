"""What a `Model` does with artifacts: saving, loading and downloading those of the version that it means."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
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
    """The methods of a Model that are about artifacts."""

    if TYPE_CHECKING:

        def log_metadata(self, metadata: Mapping[str, object]) -> None: ...
        def _client(self) -> Client: ...
        def _ensure(self) -> ModelVersion: ...
        def _find(self) -> ModelVersion: ...

    @property
    def artifacts(self) -> list[ArtifactInfo]:
        """What the version made and was made from, read anew, in the order in which it was linked."""
        return [] if current().disabled else self._find().artifacts

    def save(
        self,
        name: str,
        value: object,
        *,
        format: str | None = None,  # noqa: A002 - the contract's word
        type: ArtifactType | str | None = None,  # noqa: A002 - the contract's word
    ) -> ArtifactInfo | None:
        """Save a value to the store, link it as an artifact that the version made, and return the artifact.

        In a run this is recorded like everything else: while the registry or a remote store cannot be reached, the
        bytes wait in the spool, and None is returned; so it is when nothing is recorded.

        Args:
            name: What the artifact is called. Saving under the name again makes the next of that name.
            value: What is saved. It decides the format, unless one is named: estimators of scikit-learn become skops,
                models of LightGBM, XGBoost and Keras what these libraries write, tensors safetensors, arrays npy,
                tables of pandas parquet, figures png, numbers, lists and mappings JSON, and a pathlib.Path is the file
                or the folder that it names. `tallymark.artifacts.formats` has them all.
            format: The name of a format; `joblib`, a pickle, is used only if it is named.
            type: What the artifact is: `data`, `model` or `deployment`; by default what the format is made for.

        Raises:
            InvalidArgument: The value is in no format, cannot be written, or could not be loaded again.
            InvalidSetting: The store's libraries are not installed.
            StoreUnavailable: The store cannot be written: in a run, if it is a folder, or the spool cannot be either.
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
        """Save a trained model as the artifact `model`, and log by which library it was made, as metadata.

        The metadata are `{name}_library`, such as `sklearn 1.9.1`, and `{name}_class`. Everything else is as in
        `save`, which also takes data.
        """
        saved = self.save(name, model, format=format, type="model")
        library = type(model).__module__.partition(".")[0]
        version = getattr(sys.modules.get(library), "__version__", "")
        self.log_metadata(
            {f"{name}_library": f"{library} {version}".strip(), f"{name}_class": type(model).__qualname__}
        )
        return saved

    def download(self, name: str, folder: str | os.PathLike[str] = ".", *, force: bool = False) -> Path:
        """Download an artifact into a folder, which is made if need be, verify it, and return its path.

        The file is called as the artifact, such as `classifier.skops`; an artifact that is a folder becomes one. Raises
        AlreadyExists if something of that name is there and `force` does not say to replace it, ModelNotFound,
        VersionNotFound, ArtifactNotFound, DigestMismatch, StoreUnavailable.
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
        """Return the value of an artifact, by `classifier` (the newest) or `classifier@2`, verified by its digest.

        Within a run, the version of the model in force is linked to the artifact as made from it. A figure comes back
        as the bytes of its picture, a file or folder as the pathlib.Path of a copy in a temporary folder
        (tempfile.gettempdir()), which is removed when this process ends; `download` fetches one that stays.

        Args:
            name: The artifact's name.
            format: How to read it, if not as it was saved; `joblib`, a pickle, must be named here.
            trusted: Types that a file in the format skops may hold, beside those of scikit-learn, LightGBM and XGBoost
                and of the setting `trusted_types`: qualified names, or `my_package.*`.

        Raises:
            ModelNotFound, VersionNotFound, ArtifactNotFound: There is none.
            DigestMismatch: The bytes are not those that were linked.
            InvalidArgument: The file is not of its format, or holds types that are not trusted.
            StoreUnavailable: The store cannot be read.
        """
        if current().disabled:
            raise ArtifactNotFound(
                f"nothing is recorded (TALLYMARK_MODE=disabled), so {self!r} has no artifact {name!r}"
            )
        return self._find().load(name, format=format, trusted=trusted)
