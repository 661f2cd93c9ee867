"""`@step` and `@pipeline`: a function's versions record themselves while it runs.

A decorated function keeps its signature, and is called as before: blocking, `async`, a generator of either kind, or a
method. When nothing is recorded (TALLYMARK_MODE=disabled) calling it is calling the function.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar, overload

from tallymark.activation import Activation, Definition, drive, drive_async
from tallymark.arguments import described, text, text_mapping
from tallymark.errors import InvalidArgument
from tallymark.model import Model

if TYPE_CHECKING:
    from tallymark.artifacts import Output

P = ParamSpec("P")
R = TypeVar("R")


class Decorator(Protocol):
    """Keeps what it decorates: its arguments and its result."""

    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]:
        """The function, recorded."""
        ...


@overload
def step(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def step(
    *, model: Model | None = None, name: str | None = None, substitutions: Mapping[str, str] | None = None
) -> Decorator: ...
def step(
    function: Callable[..., Any] | None = None,
    /,
    *,
    model: Model | None = None,
    name: str | None = None,
    substitutions: Mapping[str, str] | None = None,
) -> Any:
    """Make a function a step of a pipeline.

    `model` replaces the pipeline's for this step; its version is found or created before the function runs. Without
    one, the pipeline's is in force. A step called outside a pipeline is a run of its own. `name` is what the step is
    called, by default as the function. `substitutions` fill in the templates in name and version of `model`.
    """
    return _decorator(function, model, name, substitutions, is_pipeline=False)


@overload
def pipeline(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def pipeline(
    *, model: Model | None = None, name: str | None = None, substitutions: Mapping[str, str] | None = None
) -> Decorator: ...
def pipeline(
    function: Callable[..., Any] | None = None,
    /,
    *,
    model: Model | None = None,
    name: str | None = None,
    substitutions: Mapping[str, str] | None = None,
) -> Any:
    """Make a function a pipeline: each call is a run.

    The version of `model` is found or created, in one step with the run, before the function runs; all steps of the run
    share it. When the function raises, the run is recorded as failed, its versions are kept, and the exception goes on.
    `name` is what the pipeline is called, by default as the function. `substitutions` fill in the templates in names
    and versions of models. A pipeline called within a run belongs to that run.
    """
    return _decorator(function, model, name, substitutions, is_pipeline=True)


def _decorator(
    function: Callable[..., Any] | None,
    model: Model | None,
    name: str | None,
    substitutions: Mapping[str, str] | None,
    *,
    is_pipeline: bool,
) -> Any:
    word = "@pipeline" if is_pipeline else "@step"
    if isinstance(function, Model):
        raise InvalidArgument(f"give the model by name: {word}(model=...)")
    if isinstance(function, str):
        raise InvalidArgument(f"give the model as a Model, by name: {word}(model=Model({function!r}))")
    if model is not None and not isinstance(model, Model):
        raise InvalidArgument(f"{word}(model=...) takes a Model, not {described(model)}")
    name = None if name is None else text(name, f"{word}(name=...)")
    if substitutions is not None and model is None and not is_pipeline:
        raise InvalidArgument(
            "@step(substitutions=...) fills in its own model: give model= too, or give it to @pipeline"
        )
    filled = {} if substitutions is None else text_mapping(substitutions, f"{word}(substitutions=...)")

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        if isinstance(function, classmethod | staticmethod):
            raise TypeError(f"put {word} below @{type(function).__name__}, next to the function")
        if isinstance(function, type) or not callable(function):
            raise TypeError(f"{word} decorates a function, not {function!r}")
        called = name or str(getattr(function, "__name__", type(function).__name__))
        definition = Definition(called, model, filled, is_pipeline, _outputs_of(function))
        return _wrapped(function, definition)

    return decorate if function is None else decorate(function)


def _wrapped(function: Callable[..., Any], definition: Definition) -> Callable[..., Any]:
    # inspect takes time to import, and whoever decorates functions has most likely loaded it already.
    import inspect

    called = function if inspect.isroutine(function) else type(function).__call__
    if inspect.isasyncgenfunction(called):
        return _recorded_async_generator(function, definition)
    if inspect.isgeneratorfunction(called):
        return _recorded_generator(function, definition)
    if inspect.iscoroutinefunction(called):
        return _recorded_coroutine(function, definition)
    return _recorded(function, definition)


def _outputs_of(function: Callable[..., Any]) -> Callable[[], tuple[Output, ...]]:
    """The artifacts that the function returns, read at its first call: it may name what is defined further down."""

    @functools.cache
    def outputs() -> tuple[Output, ...]:
        if "return" not in getattr(function, "__annotations__", {}):
            return ()
        from tallymark.artifacts import outputs_of

        return outputs_of(function)

    return outputs


def _told(function: Callable[..., Any], args: Any, kwargs: Any) -> Callable[[], Mapping[str, object]]:
    """What the function is called with, when it is asked for."""

    def parameters() -> Mapping[str, object]:
        from tallymark.surroundings import parameters_of

        return parameters_of(function, args, kwargs)

    return parameters


def _recorded(function: Callable[..., Any], definition: Definition) -> Callable[..., Any]:
    @functools.wraps(function)
    def recorded(*args: Any, **kwargs: Any) -> Any:
        with Activation(definition, _told(function, args, kwargs)) as activation:
            result = function(*args, **kwargs)
            if definition.outputs():
                activation.keep(result)
            return result

    return recorded


def _recorded_coroutine(function: Callable[..., Any], definition: Definition) -> Callable[..., Any]:
    @functools.wraps(function)
    async def recorded(*args: Any, **kwargs: Any) -> Any:
        async with Activation(definition, _told(function, args, kwargs)) as activation:
            result = await function(*args, **kwargs)
            if definition.outputs():
                import asyncio

                await asyncio.to_thread(activation.keep, result)
            return result

    return recorded


def _recorded_generator(function: Callable[..., Any], definition: Definition) -> Callable[..., Any]:
    @functools.wraps(function)
    def recorded(*args: Any, **kwargs: Any) -> Any:
        with Activation(definition, _told(function, args, kwargs), sets_context=False) as activation:
            return (yield from drive(function(*args, **kwargs), activation.frame))

    return recorded


def _recorded_async_generator(function: Callable[..., Any], definition: Definition) -> Callable[..., Any]:
    @functools.wraps(function)
    async def recorded(*args: Any, **kwargs: Any) -> Any:
        async with Activation(definition, _told(function, args, kwargs), sets_context=False) as activation:
            driven = drive_async(function(*args, **kwargs), activation.frame)
            async with contextlib.aclosing(driven):
                async for item in driven:
                    yield item

    return recorded
