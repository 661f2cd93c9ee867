"""The artifacts that steps return: read from annotations, checked before the call, saved when it returns."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

from tallymark.arguments import described
from tallymark.artifacts.save_load import Artifact
from tallymark.errors import InvalidArgument, TallymarkError

if TYPE_CHECKING:
    from tallymark.tracking.context import Frame


class Output(NamedTuple):
    """An artifact that a function returns: the whole result, or the item at `position` of a tuple of `length` items.

    `kind` is the annotated type.
    """

    artifact: Artifact
    position: int | None
    length: int
    kind: object

    def value_in(self, result: Any) -> Any:
        """Return the value of the artifact in the function's result. Raises InvalidArgument for a wrong shape."""
        if self.position is None:
            return result
        if not isinstance(result, tuple | list) or len(result) != self.length:
            found = f"{len(result)} items" if isinstance(result, tuple | list) else described(result)
            raise InvalidArgument(
                f"the annotation is a tuple of {self.length} items, but the function returned {found}; correct one of"
                " them"
            )
        return result[self.position]


def outputs_of(function: Callable[..., Any]) -> tuple[Output, ...]:
    """Return the artifacts in the function's return annotation. Raises InvalidArgument if it cannot be evaluated."""
    written = getattr(function, "__annotations__", {}).get("return")
    if written is None:
        return ()
    try:
        returned = _evaluated(function, written)
    except Exception as error:  # noqa: BLE001 - annotations are code of the user's, which may raise anything
        if "Artifact(" not in str(written):
            return ()
        raise InvalidArgument(
            f"{_name(function)} returns {written}, which cannot be evaluated ({error}), so its artifacts would not be"
            " saved; import what it names at the top of the module, outside of TYPE_CHECKING"
        ) from None
    if _is_unnamed(returned):
        raise InvalidArgument(
            f"{_name(function)} returns {returned}, where Artifact has no name, so nothing would be saved; write"
            ' Annotated[X, Artifact("name")]'
        )
    hints = list(get_args(returned)) if get_origin(returned) is tuple else [returned]
    outputs = tuple(
        Output(mark, position if get_origin(returned) is tuple else None, len(hints), get_args(hint)[0])
        for position, hint in enumerate(hints)
        if get_origin(hint) is Annotated
        for mark in get_args(hint)[1:]
        if isinstance(mark, Artifact)
    )
    if len(outputs) < _count_artifacts(returned) or (outputs and Ellipsis in hints):
        raise InvalidArgument(
            f"{_name(function)} returns {returned}, with an Artifact where none is saved; annotate the whole result,"
            " or items of a tuple: Annotated[X | None, Artifact(...)], tuple[Annotated[X, Artifact(...)], Y]"
        )
    return outputs


def check_outputs(outputs: tuple[Output, ...], *, has_model: bool) -> None:
    """Check that artifacts can be saved, as far as this is known before the function is called.

    Raises:
        InvalidArgument: No model is in force, no format has the name or supports the class, or a library of the format
            is not installed.
        InvalidSetting: The store's libraries are not installed.
    """
    from tallymark.artifacts import formats, store
    from tallymark.artifacts.formats.classes import described_class, may_be_saved

    required = [output for output in outputs if not output.artifact.optional]
    if required and not has_model:
        raise InvalidArgument(
            f"{required[0].artifact!r} belongs to a version, and no model is in force; pass one to @step(model=...) or"
            " @pipeline(model=...)"
        )
    for artifact, _, _, kind in outputs:
        chosen = formats.format_called(artifact.format) if artifact.format else formats.format_for_class(kind)
        if chosen is not None and not artifact.optional:
            chosen.check_installed()
        if not artifact.format and not may_be_saved(kind):
            raise InvalidArgument(
                f"{artifact!r} is {described_class(kind)}, which has no known format, so what the function"
                f" returns could not be saved; write Artifact({artifact.name!r}, format='joblib'), a pickle, or save it"
                " to a file or a folder in the function, and return its pathlib.Path"
            )
    if required:
        store.check_ready()


def save_outputs(outputs: tuple[Output, ...], result: Any, frame: Frame) -> None:
    """Save the artifacts in a function's result. Raise if one cannot be saved, unless it is optional."""
    for output in outputs:
        try:
            _save(output, result, frame)
        except Exception as problem:
            if output.artifact.optional:
                frame.run.problems.add(f"artifact {output.artifact.name!r}", str(problem) or type(problem).__name__)
                continue
            raise _save_error(output, problem) from problem


def _save_error(output: Output, problem: Exception) -> TallymarkError:
    """Return the error for an artifact that was not saved, with a note about where to find its value."""
    message = f"artifact {output.artifact.name!r} could not be saved: {problem}"
    error = (
        type(problem)(message, code=problem.code, metadata=problem.metadata)
        if isinstance(problem, TallymarkError)
        else InvalidArgument(message)
    )
    error.add_note(
        "The function had returned. What it returned is the variable `result` where this error was raised: while this"
        " process lives, reach it with pdb.pm(), or with %debug in a notebook. Next time, Artifact(..., optional=True)"
        " lets the step go on when saving fails."
    )
    return error


def _save(output: Output, result: Any, frame: Frame) -> None:
    from tallymark.tracking.run_artifacts import save_in_run

    if frame.model is None:
        raise InvalidArgument("no model is in force; pass one to @step(model=...) or @pipeline(model=...)")
    artifact = output.artifact
    save_in_run(frame, frame.model, artifact.name, output.value_in(result), artifact.format, artifact.type)


def _evaluated(function: Callable[..., Any], written: Any) -> Any:
    """Evaluate only the return annotation: those of arguments may use names that exist for type checkers only."""
    holder = types.SimpleNamespace(__annotations__={"return": written})
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    names = dict(getattr(function, "__globals__", {}))
    # The names of an enclosing function, as far as the function uses them.
    code, cells = getattr(function, "__code__", None), getattr(function, "__closure__", None) or ()
    for name, cell in zip(code.co_freevars if code else (), cells, strict=False):
        try:
            names.setdefault(name, cell.cell_contents)
        except ValueError:
            continue  # it has no value yet
    return get_type_hints(holder, globalns=names, include_extras=True)["return"]


def _count_artifacts(hint: Any) -> int:
    """Return the number of `Artifact` objects anywhere in the annotation."""
    inner = get_args(hint)
    if get_origin(hint) is Annotated:
        return sum(isinstance(each, Artifact) for each in inner[1:]) + _count_artifacts(inner[0])
    return 1 if isinstance(hint, Artifact) else sum(map(_count_artifacts, inner))


def _is_unnamed(hint: Any) -> bool:
    """Return whether the annotation contains the class `Artifact` instead of an object of it."""
    inner = get_args(hint)
    if get_origin(hint) is Annotated:
        return any(isinstance(each, type) and issubclass(each, Artifact) for each in inner[1:]) or _is_unnamed(inner[0])
    return any(map(_is_unnamed, inner))


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__qualname__", None) or type(function).__name__)
