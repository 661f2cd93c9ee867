"""Errors of existence: what does not exist, or exists already."""

from __future__ import annotations

from tallymark_server.domain.errors.branches import AlreadyExists, NotFound, shortened, shown


class ProjectNotFound(NotFound):
    """No such project."""

    reason = "PROJECT_NOT_FOUND"

    def __init__(self, project: str) -> None:
        super().__init__(
            f"no project {shown(project)}; create it with `tallymark project create`, or check the project's name",
            project=shortened(project),
        )


class ModelNotFound(NotFound):
    """No such model."""

    reason = "MODEL_NOT_FOUND"

    def __init__(self, project: str, model: str, renamed_to: str | None = None) -> None:
        message = f"no model {shown(model)} in project {project!r}; create it, or check its name and the project"
        metadata = {"project": project, "model": model}
        # A former name leads nowhere until another model takes it.
        if renamed_to not in (None, model):
            message = f"model {shown(model)} is called {shown(renamed_to)} now"
            metadata["renamed_to"] = renamed_to
        super().__init__(message, **metadata)


class VersionNotFound(NotFound):
    """The model has no such version."""

    reason = "VERSION_NOT_FOUND"

    def __init__(self, project: str, model: str, version: str) -> None:
        if version == "latest":
            message = f"model {shown(model)} has no version yet; create one"
        else:
            what = f"no version named {shown(version[1:])}" if version.startswith("=") else f"no version {version}"
            message = f"model {shown(model)} has {what}; list its versions, also with show_deleted"
        super().__init__(message, project=project, model=model, version=version)


class StageEmpty(NotFound):
    """No version of the model is in that stage."""

    reason = "STAGE_EMPTY"

    def __init__(self, project: str, model: str, stage: str) -> None:
        super().__init__(f"no version of model {shown(model)} is in {stage}", project=project, model=model, stage=stage)


class AliasNotFound(NotFound):
    """The model has no such alias."""

    reason = "ALIAS_NOT_FOUND"

    def __init__(self, project: str, model: str, alias: str) -> None:
        super().__init__(
            f"model {shown(model)} has no alias {shown(alias)}; set it, or see which aliases the model has",
            project=project,
            model=model,
            alias=alias,
        )


class RunNotFound(NotFound):
    """No such run."""

    reason = "RUN_NOT_FOUND"

    def __init__(self, project: str, run: str) -> None:
        super().__init__(
            f"no run {shown(run)} in project {project!r}; start it, or check its id and the project",
            project=project,
            run=run,
        )


class ArtifactNotFound(NotFound):
    """The version has no such artifact."""

    reason = "ARTIFACT_NOT_FOUND"

    def __init__(self, project: str, model: str, number: int, artifact: str) -> None:
        super().__init__(
            f"number {number} of model {shown(model)} has no artifact {shown(artifact)}; list those it has",
            project=project,
            model=model,
            number=number,
            artifact=artifact,
        )


class NothingToErase(NotFound):
    """A path of content to erase leads to nothing that is recorded."""

    reason = "NOTHING_TO_ERASE"

    def __init__(self, project: str, place: int) -> None:
        # The path itself may be a secret.
        super().__init__(
            f"paths[{place}] leads to nothing that is recorded and not erased yet, so nothing was erased; look up what"
            " is recorded, and write the path as it is written there",
            project=project,
            path=place,
        )


class StepNotFound(NotFound):
    """The run has no such step."""

    reason = "STEP_NOT_FOUND"

    def __init__(self, project: str, run: str, step: str) -> None:
        super().__init__(
            f"run {shown(run)} has no step {shown(step)}; start it with StartStep first",
            project=project,
            run=run,
            step=step,
        )


class ProjectExists(AlreadyExists):
    """A project of that name exists."""

    reason = "PROJECT_EXISTS"

    def __init__(self, project: str) -> None:
        super().__init__(
            f"project {shown(project)} exists already; use it, or choose another name", project=shortened(project)
        )


class ModelExists(AlreadyExists):
    """A model of that name exists."""

    reason = "MODEL_EXISTS"

    def __init__(self, project: str, model: str) -> None:
        super().__init__(
            f"model {shown(model)} exists already in project {project!r}; use it, or choose another name",
            project=project,
            model=model,
        )


class VersionNameTaken(AlreadyExists):
    """The name belongs to another version of the model."""

    reason = "VERSION_NAME_TAKEN"

    def __init__(self, project: str, model: str, version: str, number: int) -> None:
        super().__init__(
            f"version name {shown(version)} of model {shown(model)} is taken by number {number}; ask for that version"
            f" by its name, or choose another name",
            project=project,
            model=model,
            version=version,
            number=number,
        )
