"""What a rollback brings back: the rule that both clients apply to what they read from the log."""

from __future__ import annotations

from tallymark.client import calls
from tallymark.client.calls.call import Call
from tallymark.errors import InvalidField, StageEmpty
from tallymark.types.enums import Stage, stage_of
from tallymark.types.resources import Event, ModelInfo, ModelVersion


def holder_of(model: ModelInfo, stage: Stage | str) -> int:
    """Return the number of the version that holds the stage, 0 for none. Raises InvalidField."""
    numbers = {Stage.PRODUCTION: model.production_number, Stage.STAGING: model.staging_number}
    if (stage := stage_of(stage)) not in numbers:
        raise InvalidField(f"stage is {stage.value!r}: only staging and production hold one version")
    return numbers[stage]


def entered(event: Event, stage: Stage | str, holder: int) -> int:
    """Return the number of the version that the event moved into the stage; 0 if it moved none but the holder."""
    version = event.resource
    if isinstance(version, ModelVersion) and version.stage == stage and version.number != holder:
        return version.number
    return 0


def rollback(project: str, model: ModelInfo, stage: Stage | str, number: int, reason: str) -> Call[ModelVersion]:
    """SetStage, only while the version that was read holds the stage. Raises StageEmpty if there is no number."""
    holder = holder_of(model, stage)
    if not number:
        before = f" before {holder}" if holder else ""
        raise StageEmpty(
            f"no version of {model.name} was in {stage}{before}; promote the one you want:"
            f" tallymark version promote {model.name}/NUMBER --force"
        )
    return calls.set_stage(
        project,
        f"{model.resource_name}/versions/{number}",
        stage,
        force=True,
        reason=reason if reason.strip() else f"rollback from {holder}" if holder else "rollback",
        etag="",
        # The version was in the stage: whether its run had to succeed was decided when it entered.
        allow_unfinished_run=True,
        expected_number=holder,
    )
