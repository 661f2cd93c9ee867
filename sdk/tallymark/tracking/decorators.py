"""`@step` and `@pipeline`: record the calls of a function.

A decorated function keeps its signature and kind: blocking, `async`, a generator of either kind, or a method. While
nothing is recorded (TALLYMARK_MODE=disabled), a call only calls the function.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, Protocol, TypeVar, overload

from tallymark.arguments import described, text, text_mapping, texts
from tallymark.errors import InvalidArgument
from tallymark.tracking.call_scope import CallScope, Definition, drive, drive_async
from tallymark.tracking.handover import Origin
from tallymark.tracking.model import Model

if TYPE_CHECKING:
    from tallymark.tracking.outputs import Output

P = ParamSpec("P")
R = TypeVar("R")


class Decorator(Protocol):
    """A decorator that keeps the signature of a function."""

    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]:
        """Return a function with the same signature, whose calls are recorded."""
        ...


@overload
def step(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def step(
    *,
    model: Model | None = None,
    name: str | None = None,
    substitutions: Mapping[str, str] | None = None,
    parameters: bool | Iterable[str] | None = None,
) -> Decorator: ...
def step(
    function: Callable[..., Any] | None = None,
    /,
    *,
    model: Model | None = None,
    name: str | None = None,
    substitutions: Mapping[str, str] | None = None,
    parameters: bool | Iterable[str] | None = None,
) -> Any:
    """Make a function a step of a pipeline: record each call, with its parameters, outcome and artifacts.

    A step that is called outside a pipeline or run is a run of its own. A step belongs to the run of its context, also
    in asyncio, in processes that are started within the run, and in threads while one run is open in the process. While
    several are open, pass `tallymark.bind(function)` to threads and pools.

    Args:
        function: The function, if the decorator is written without parentheses.
        model: Replaces the run's model for this step; its version is found or created before the function is called.
        name: The step's name, by default that of the function.
        substitutions: Values for the templates in name and version of `model`.
        parameters: Which of the function's parameters are recorded: True or None for all, False for none, or names.

    Returns:
        The decorated function, with the same signature and kind: plain, async, a generator, a method.

    Raises:
        InvalidArgument: An argument has the wrong type, or names a parameter that the function does not have.
        TypeError: The decorated object is not a function.
    """
    return _decorator("@step", function, model, name, substitutions, parameters)


@overload
def pipeline(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def pipeline(
    *,
    model: Model | None = None,
    name: str | None = None,
    substitutions: Mapping[str, str] | None = None,
    parameters: bool | Iterable[str] | None = None,
) -> Decorator: ...
def pipeline(
    function: Callable[..., Any] | None = None,
    /,
    *,
    model: Model | None = None,
    name: str | None = None,
    substitutions: Mapping[str, str] | None = None,
    parameters: bool | Iterable[str] | None = None,
) -> Any:
    """Make a function a pipeline: each call is a run.

    The version of `model` is found or created together with the run, before the function is called; all steps of the
    run share it. If the function raises, the run is recorded as failed, its versions stay, and the exception is
    re-raised. A pipeline that is called within a run belongs to that run. `tallymark.run` does the same for a block of
    code.

    Args:
        function: The function, if the decorator is written without parentheses.
        model: The model of the run, in which steps without a model of their own record.
        name: The pipeline's name, by default that of the function.
        substitutions: Values for the templates in names and versions of all models of the run.
        parameters: Which of the function's parameters are recorded: True or None for all, False for none, or names.

    Returns:
        The decorated function, with the same signature and kind: plain, async, a generator, a method.

    Raises:
        InvalidArgument: An argument has the wrong type, or names a parameter that the function does not have.
        TypeError: The decorated object is not a function.
    """
    return _decorator("@pipeline", function, model, name, substitutions, parameters)


def _decorator(
    word: str,
    function: Callable[..., Any] | None,
    model: Model | None,
    name: str | None,
    substitutions: Mapping[str, str] | None,
    parameters: bool | Iterable[str] | None,
) -> Any:
    is_pipeline = word == "@pipeline"
    if isinstance(function, Model):
        raise InvalidArgument(f"pass the model by keyword: {word}(model=...)")
    if isinstance(function, str):
        raise InvalidArgument(f"pass a Model by keyword: {word}(model=Model({function!r}))")
    if model is not None and not isinstance(model, Model):
        raise InvalidArgument(f"{word}(model=...) takes a Model, not {described(model)}")
    name = None if name is None else text(name, f"{word}(name=...)")
    if substitutions is not None and model is None and not is_pipeline:
        raise InvalidArgument(
            "@step(substitutions=...) fills in its own model: pass model= too, or pass it to @pipeline"
        )
    values = {} if substitutions is None else text_mapping(substitutions, f"{word}(substitutions=...)")
    names = _names_of(parameters, f"{word}(parameters=...)")

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        if isinstance(function, classmethod | staticmethod):
            raise TypeError(f"put {word} below @{type(function).__name__}, next to the function")
        if isinstance(function, type) or not callable(function):
            raise TypeError(f"{word} decorates a function, not {function!r}")
        label = name or str(getattr(function, "__name__", type(function).__name__))
        definition = Definition(label, model, values, is_pipeline, Outputs(function), Origin())
        return _wrap(function, definition, Parameters(function, names).checked(word))

    return decorate if function is None else decorate(function)


def _names_of(parameters: bool | Iterable[str] | None, what: str) -> tuple[str, ...] | None:
    """Return the names of the parameters to record, None for all."""
    if parameters is None or isinstance(parameters, bool):
        return () if parameters is False else None
    return texts((parameters,) if isinstance(parameters, str) else parameters, what)


class Outputs:
    """The artifacts that a function returns, read at its first call: its annotation may name classes defined later.

    An object rather than a closure, so that it can be pickled with a function that is sent to another process by value.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._found: tuple[Output, ...] | None = None

    def __call__(self) -> tuple[Output, ...]:
        if self._found is None:
            found: tuple[Output, ...] = ()
            if "return" in getattr(self._function, "__annotations__", {}):
                from tallymark.tracking.outputs import outputs_of

                found = outputs_of(self._function)
            self._found = found
        return self._found

    def __reduce__(self) -> tuple[Any, ...]:
        return Outputs, (self._function,)


class Parameters(NamedTuple):
    """Which parameters of a function are recorded: those with these names, all if None."""

    function: Callable[..., Any]
    names: tuple[str, ...] | None

    def checked(self, word: str) -> Parameters:
        """Return self. Raises InvalidArgument if the function does not have the parameters."""
        if self.names:
            import inspect

            known = tuple(inspect.signature(self.function).parameters)
            for name in self.names:
                if name not in known:
                    has = f"its parameters are {', '.join(known)}" if known else "it has none"
                    label = getattr(self.function, "__name__", repr(self.function))
                    raise InvalidArgument(f"{word}(parameters=...) names {name!r}, no parameter of {label}: {has}")
        return self

    def for_call(self, args: Any, kwargs: Any) -> Callable[[], Mapping[str, object]]:
        """Return a function that returns the parameters of a call as they are recorded."""

        def parameters() -> Mapping[str, object]:
            from tallymark.tracking.environment import parameters_of

            return {} if self.names == () else parameters_of(self.function, args, kwargs, self.names)

        return parameters


def _wrap(function: Callable[..., Any], definition: Definition, parameters: Parameters) -> Callable[..., Any]:
    # inspect takes time to import, and programs that decorate functions have most likely imported it already.
    import inspect

    code = function if inspect.isroutine(function) else type(function).__call__
    if inspect.isasyncgenfunction(code):
        return _wrap_async_generator(function, definition, parameters)
    if inspect.isgeneratorfunction(code):
        return _wrap_generator(function, definition, parameters)
    if inspect.iscoroutinefunction(code):
        return _wrap_coroutine(function, definition, parameters)
    return _wrap_function(function, definition, parameters)


def _wrap_function(function: Callable[..., Any], definition: Definition, parameters: Parameters) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with CallScope(definition, parameters.for_call(args, kwargs)) as scope:
            result = function(*args, **kwargs)
            if scope.outputs:
                scope.save_outputs(result)
            return result

    return wrapper


def _wrap_coroutine(function: Callable[..., Any], definition: Definition, parameters: Parameters) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        async with CallScope(definition, parameters.for_call(args, kwargs)) as scope:
            result = await function(*args, **kwargs)
            if scope.outputs:
                import asyncio

                await asyncio.to_thread(scope.save_outputs, result)
            return result

    return wrapper


def _wrap_generator(function: Callable[..., Any], definition: Definition, parameters: Parameters) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with CallScope(definition, parameters.for_call(args, kwargs), sets_context=False) as scope:
            return (yield from drive(function(*args, **kwargs), scope.frame))

    return wrapper


def _wrap_async_generator(
    function: Callable[..., Any], definition: Definition, parameters: Parameters
) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        async with CallScope(definition, parameters.for_call(args, kwargs), sets_context=False) as scope:
            driven = drive_async(function(*args, **kwargs), scope.frame)
            async with contextlib.aclosing(driven):
                async for item in driven:
                    yield item

    return wrapper
