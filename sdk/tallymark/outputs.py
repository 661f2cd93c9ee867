"""What steps return as artifacts: read from their annotations, checked before they run, saved when they return."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

from tallymark.arguments import described
from tallymark.artifacts import Artifact
from tallymark.errors import InvalidArgument, TallymarkError

if TYPE_CHECKING:
    from tallymark.context import Frame


class Output(NamedTuple):
    """An artifact that a function returns: the whole result, or the item of that place in a tuple of so many."""

    artifact: Artifact
    place: int | None
    length: int
    kind: object

    def of(self, result: Any) -> Any:
        """Return the value in what the function has returned; InvalidArgument if that has another shape."""
        if self.place is None:
            return result
        if not isinstance(result, tuple | list) or len(result) != self.length:
            found = f"{len(result)} items" if isinstance(result, tuple | list) else described(result)
            raise InvalidArgument(
                f"the annotation says a tuple of {self.length} items, and {found} came back; return what it says, or"
                " change it"
            )
        return result[self.place]


def outputs_of(function: Callable[..., Any]) -> tuple[Output, ...]:
    """Return what the function's annotation says that it returns as artifacts; InvalidArgument if it cannot be read."""
    written = getattr(function, "__annotations__", {}).get("return")
    if written is None:
        return ()
    try:
        returned = _evaluated(function, written)
    except Exception as error:  # noqa: BLE001 - annotations are code of the user's, which may raise anything
        if "Artifact(" not in str(written):
            return ()
        raise InvalidArgument(
            f"{_called(function)} returns {written}, which cannot be evaluated ({error}), so its artifacts would not be"
            " saved; import what it names at the top of the module, outside of TYPE_CHECKING"
        ) from None
    hints = list(get_args(returned)) if get_origin(returned) is tuple else [returned]
    outputs = tuple(
        Output(mark, place if get_origin(returned) is tuple else None, len(hints), get_args(hint)[0])
        for place, hint in enumerate(hints)
        if get_origin(hint) is Annotated
        for mark in get_args(hint)[1:]
        if isinstance(mark, Artifact)
    )
    if len(outputs) < _marks(returned) or (outputs and Ellipsis in hints):
        raise InvalidArgument(
            f"{_called(function)} returns {returned}, with an Artifact where none is saved; annotate the whole result,"
            " or items of a tuple: Annotated[X | None, Artifact(...)], tuple[Annotated[X, Artifact(...)], Y]"
        )
    return outputs


def check_outputs(outputs: tuple[Output, ...], *, in_force: bool) -> None:
    """Raise what would keep artifacts from being saved, as far as it is known before the function runs.

    Raises:
        InvalidArgument: no model is in force, no format has the name, or a library of the format is missing.
        InvalidSetting: the store's libraries are missing.

    """
    from tallymark import formats, store

    required = [output for output in outputs if not output.artifact.optional]
    if required and not in_force:
        raise InvalidArgument(
            f"{required[0].artifact!r} belongs to a version, and no model is in force; give one to @step(model=...) or"
            " @pipeline(model=...)"
        )
    for artifact, _, _, kind in outputs:
        chosen = formats.format_called(artifact.format) if artifact.format else formats.format_for_class(kind)
        if chosen is not None and not artifact.optional:
            chosen.check_installed()
    if required:
        store.check_ready()


def keep_outputs(outputs: tuple[Output, ...], result: Any, frame: Frame) -> None:
    """Save what a function has returned; what cannot be saved fails the step, unless it is optional."""
    for output in outputs:
        try:
            _keep(output, result, frame)
        except Exception as problem:
            if output.artifact.optional:
                frame.run.problems.add(f"artifact {output.artifact.name!r}", str(problem) or type(problem).__name__)
                continue
            message = f"artifact {output.artifact.name!r} could not be saved: {problem}"
            if isinstance(problem, TallymarkError):
                raise type(problem)(message, code=problem.code, metadata=problem.metadata) from problem
            raise InvalidArgument(message) from problem


def _keep(output: Output, result: Any, frame: Frame) -> None:
    from tallymark.linking import save_in_run

    if frame.model is None:
        raise InvalidArgument("no model is in force; give one to @step(model=...) or @pipeline(model=...)")
    artifact = output.artifact
    save_in_run(frame, frame.model, artifact.name, output.of(result), artifact.format, artifact.type)


def _evaluated(function: Callable[..., Any], written: Any) -> Any:
    """Return the annotation of the result alone: those of arguments may name what is there for type checkers only."""
    alone = types.SimpleNamespace(__annotations__={"return": written})
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    names = dict(getattr(function, "__globals__", {}))
    # An enclosing function's names, as far as the function uses them.
    code, cells = getattr(function, "__code__", None), getattr(function, "__closure__", None) or ()
    for name, cell in zip(code.co_freevars if code else (), cells, strict=False):
        try:
            names.setdefault(name, cell.cell_contents)
        except ValueError:
            continue  # it has no value yet
    return get_type_hints(alone, globalns=names, include_extras=True)["return"]


def _marks(hint: Any) -> int:
    """Return how many artifacts the annotation names anywhere."""
    inner = get_args(hint)
    if get_origin(hint) is Annotated:
        return sum(isinstance(each, Artifact) for each in inner[1:]) + _marks(inner[0])
    return sum(_marks(each) for each in inner) if inner and not isinstance(hint, Artifact) else 0


def _called(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__qualname__", None) or type(function).__name__)
