"""Conversion of any value to a type of the registry, and the losses that it reports."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import hypothesis.strategies as st
import numpy
import pandas
import pytest
from hypothesis import given
from sdk.recordables import KEPT, LOST, MEASURED, NOT_MEASURED

from tallymark.conversion import arrays
from tallymark.client import metadata_messages
from tallymark.conversion.convert import Conversion
from tallymark.conversion.vocabulary import LEFT_OUT, METADATA, PARAMETERS, UNCUT, Limits, Loss
from tallymark.errors import InvalidArgument, InvalidField
from tallymark.conversion.problems import RecordingProblems
from tallymark.types.recording_problem import RecordingProblem
from tallymark.conversion.recordable import (
    dotted,
    metadata_in_run,
    metadata_or_raise,
    metric_value,
    parameters,
    points_of,
    subscripts,
)


def same(found: Any, expected: Any) -> bool:
    """Return whether both have the same types and values, where NaN equals NaN."""
    return repr(found) == repr(expected) and type(found) is type(expected)


@pytest.mark.parametrize("limits", [METADATA, PARAMETERS, UNCUT], ids=["metadata", "parameters", "whole"])
@pytest.mark.parametrize("name", KEPT)
def test_each_type_is_converted_as_documented(name: str, limits: Limits) -> None:
    """Each type of the table is converted without loss, wherever it is recorded."""
    value, expected = KEPT[name]
    conversion = Conversion(limits, redacts=limits is not UNCUT)
    found = conversion.value(value)
    assert same(found, expected), found
    assert conversion.losses == []


@pytest.mark.parametrize("name", LOST)
def test_losses_are_reported(name: str) -> None:
    """An unsupported or large value is left out of metadata, described in parameters, and refused elsewhere."""
    value, in_metadata, in_parameters, reason = LOST[name]
    conversion = Conversion(METADATA, redacts=True)
    found = conversion.value(value)
    assert ([] if found is LEFT_OUT else [found]) == in_metadata
    assert reason in conversion.losses[0].problem
    assert Conversion(PARAMETERS, redacts=True).value(value) == in_parameters
    if name not in ("long text", "huge list"):  # the service refuses these
        with pytest.raises(InvalidField, match=r"^metadata\['wrong'\]"):
            metadata_or_raise({"fine": 1, "wrong": value})


def test_a_wrong_value_is_reported_with_its_path() -> None:
    """In a run, other values are recorded, and the problem has the path; outside, the error has it."""
    metadata = {"auc": 0.9, "cv": {"fit_time": [1.0, object()], "score": 0.5}}
    problems = RecordingProblems()
    assert metadata_in_run(metadata, problems) == {"auc": 0.9, "cv": {"fit_time": [1.0], "score": 0.5}}
    assert problems.all() == [
        RecordingProblem("metadata 'cv.fit_time[1]'", "an object has no form that can be recorded")
    ]
    with pytest.raises(InvalidField, match=r"^metadata\['cv'\]\['fit_time'\]\[1\]: an object has no form"):
        metadata_or_raise(metadata)
    assert (dotted(("a", 1, "b")), subscripts(("a", 1, "b"))) == ("a[1].b", "['a'][1]['b']")


@pytest.mark.parametrize("key", ["", "x" * 256, " a", "a\n", object()], ids=lambda key: repr(key)[:10])
def test_a_wrong_key_does_not_affect_others(key: Any) -> None:
    """An invalid key is left out of metadata, parameters and metrics; the others are recorded."""
    problems = RecordingProblems()
    assert metadata_in_run({"auc": 0.9, key: 1}, problems) == {"auc": 0.9}
    assert points_of({key: 1.0}, 0, problems) == []
    found = parameters({"auc": 0.9, key: 1})
    assert found == {"auc": 0.9}
    assert (len(problems.all()), len(found.losses)) == (2, 1)
    with pytest.raises(InvalidField):
        metadata_or_raise({"auc": 0.9, key: 1})


@pytest.mark.parametrize("name", MEASURED)
def test_a_metric_can_be_a_number_of_any_library(name: str) -> None:
    """Any object with one number is a value of a metric."""
    value, expected = MEASURED[name]
    assert same(metric_value(value), expected)


@pytest.mark.parametrize("name", NOT_MEASURED)
def test_a_metric_must_be_a_number(name: str) -> None:
    """Other values are refused with their type; in a run, only they are left out."""
    with pytest.raises(InvalidArgument, match="takes a number, not"):
        metric_value(NOT_MEASURED[name])
    problems = RecordingProblems()
    assert points_of({"loss": NOT_MEASURED[name], "auc": 0.5}, 1, problems) == [("auc", 1, 0.5, None)]
    assert points_of({"loss": 0.5}, -1, problems) == points_of({"loss": 0.5}, 1.5, problems) == []
    assert {problem.subject for problem in problems.all()} == {"metric 'loss'"}


def test_the_largest_metadata_are_left_out() -> None:
    """Metadata are recorded up to the service's limit, and the problems name what is left out, with its size."""
    problems = RecordingProblems()
    found = metadata_in_run({"auc": 0.9, "a": "x" * 40_000, "b": "é" * 30_000, "c": [1, 2]}, problems)
    assert found.keys() == {"auc", "a", "c"}
    (problem,) = problems.all()
    assert problem.subject == "metadata 'b'"
    assert "60,008 bytes" in problem.problem


def test_a_parameter_is_never_left_out() -> None:
    """Arguments that are too large together are described, the largest first."""
    given = {f"p{number}": "x" * 999 for number in range(100)}
    found = parameters({**given, "lr": 0.1, "frame": pandas.DataFrame({"a": [1]})})
    assert found.keys() == {*given, "lr", "frame"}
    assert (found["lr"], found["frame"]) == (0.1, "DataFrame (1, 1)")
    assert {len(str(found[name])) for name in given} == {999, len("str, too large to be recorded")}
    assert found.losses


class Hostile:
    """An object that raises at every access."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError("str")

    __repr__ = __len__ = __iter__ = __bool__ = __hash__ = __eq__ = __float__ = __index__ = __str__  # type: ignore[assignment]  # every method raises, whatever it should return


class Panic(BaseException):
    """An exception like the panics of libraries in Rust."""


class HostileMapping(dict[str, Any]):
    def items(self) -> Any:
        raise Panic

    __iter__ = __len__ = keys = items


class HostileClass:
    @property  # type: ignore[misc]  # it cannot be set - unlike that of other objects
    def __class__(self) -> Any:
        raise RuntimeError

    shape = property(lambda self: 1 / 0)
    dtype = property(lambda self: 1 / 0)


class HostileMeta(type):
    def __getattribute__(cls, name: str) -> Any:
        raise RuntimeError(name)


class OfHostileMeta(metaclass=HostileMeta):
    pass


class Endless(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        return 1

    def __iter__(self) -> Iterator[str]:
        number = 0
        while True:
            yield f"key {number}"
            number += 1

    def __len__(self) -> int:
        return 3


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError

    encode = __len__ = isascii = __str__  # type: ignore[assignment]  # every method raises, whatever it should return


class Number(float):
    def __float__(self) -> float:
        raise RuntimeError


class Failing:
    __dataclass_fields__: Any = property(lambda _: 1 / 0)
    _fields = __struct_fields__ = __attrs_attrs__ = 5


def itself() -> dict[str, Any]:
    found: dict[str, Any] = {}
    found["a"] = found
    return found


def nested(depth: int, width: int) -> Any:
    """Return lists in lists, each with the same list so many times."""
    found: Any = 1
    for _ in range(depth):
        found = [found] * width
    return found


HOSTILE: dict[str, Callable[[], Any]] = {
    "object": Hostile,
    "mapping": lambda: HostileMapping(a=1),
    "class": HostileClass,
    "metaclass": OfHostileMeta,
    "its class": lambda: OfHostileMeta,
    "endless mapping": Endless,
    "text": lambda: Text("abc"),
    "number": lambda: Number(1),
    "fields": Failing,
    "key": lambda: {Text("abc"): 1, Hostile: 2},
    "deep": lambda: nested(100_000, 1),
    "wide": lambda: nested(16, 3),
    "itself": itself,
    "endless iterator": lambda: iter(int, 1),
    "no shape": type("Lazy", (), {"shape": ("?", 5), "dtype": "x"}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_value_makes_recording_raise(name: str) -> None:
    """Whatever a value raises when it is read, only it is left out of metadata, parameters and metrics."""
    value = HOSTILE[name]()
    problems = RecordingProblems()
    begun = time.process_time()
    found = metadata_in_run({"auc": 0.9, "bad": value, "all": [value]}, problems)
    assert found["auc"] == 0.9
    metadata_messages.metadata_to(found)
    told = parameters({"lr": 0.1, "bad": value})
    assert told.keys() == {"lr", "bad"}
    metadata_messages.metadata_to(told)
    for metrics, at in (({"loss": value}, 1), (value, 1), ({"loss": 1.0}, value)):
        points_of(metrics, at, problems)
    assert time.process_time() - begun < 10, "what is endless is not read to its end"


def test_iterators_are_not_consumed() -> None:
    """A generator that is passed as an argument reaches the function unread."""
    numbers = iter([1, 2, 3])
    lines = (line for line in "abc")
    assert parameters({"numbers": numbers, "lines": lines}) == {"numbers": "list_iterator", "lines": "generator"}
    assert metadata_in_run({"lines": lines}, RecordingProblems()) == {}
    assert (list(numbers), list(lines)) == ([1, 2, 3], ["a", "b", "c"])


class Table:
    """A table whose data must not be read."""

    shape = (10**9, 20)

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} of the table was read")

    __len__ = __iter__ = __repr__ = __getattr__  # type: ignore[assignment]  # every method raises, whatever it should return


def test_data_are_described_without_being_read() -> None:
    """Only the shape of a table or an array is read."""
    assert parameters({"table": Table()}) == {"table": "Table (1000000000, 20)"}
    virtual = numpy.broadcast_to(numpy.float32(1), (10**6, 10**6))
    assert parameters({"x": virtual}) == {"x": "ndarray float32 (1000000, 1000000)"}
    assert arrays.MAX_VALUES == 1000


class Tensor:
    """Like those of torch: methods instead of properties, and a dtype with the package's name."""

    def __init__(self, values: Any) -> None:
        self._values = numpy.asarray(values, "float32")
        self.shape, self.dtype = self._values.shape, "torch.float32"

    shape: Any = None
    dtype: Any = None

    def item(self) -> float:
        return float(self._values.item())

    def tolist(self) -> Any:
        return self._values.tolist()


class EagerTensor:
    """Like those of TensorFlow, whose numbers are read through an array."""

    shape: Any = property(lambda self: self._values.shape)
    dtype: Any = property(lambda self: self._values.dtype)

    def __init__(self, values: Any) -> None:
        self._values = numpy.asarray(values)

    def numpy(self) -> Any:
        return self._values


class SparseTensor(Tensor):
    """Like sparse or uninitialised tensors of torch, which have no list of values."""

    def tolist(self) -> Any:
        raise NotImplementedError


def test_a_tensor_without_a_list_of_values_is_described() -> None:
    """A tensor that cannot be converted to a list is recorded by its shape."""
    assert parameters({"weights": SparseTensor([1, 2])}) == {"weights": "SparseTensor float32 (2,)"}
    problems = RecordingProblems()
    assert metadata_in_run({"weights": SparseTensor([1, 2])}, problems) == {"weights": "SparseTensor float32 (2,)"}
    assert [problem.subject for problem in problems.all()] == ["metadata 'weights'"]


@pytest.mark.parametrize("kind", [Tensor, EagerTensor])
def test_tensors_are_recorded_like_arrays(kind: Any) -> None:
    """A scalar is a number, a small tensor a list, and a larger one a description."""
    found = parameters({"loss": kind(0.5), "few": kind([1, 2]), "many": kind(numpy.zeros((3, 224, 224), "float32"))})
    assert found == {"loss": 0.5, "few": [1, 2], "many": "Tensor float32 (3, 224, 224)"}
    assert metric_value(kind(0.25)) == metric_value(kind([0.25])) == 0.25


keys = st.text(st.characters(), max_size=5) | st.integers() | st.floats() | st.none()
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.binary(max_size=20)
    | st.text(st.characters(), max_size=20) | st.datetimes(timezones=st.none() | st.timezones()) | st.dates()
    | st.times() | st.timedeltas() | st.decimals() | st.fractions() | st.uuids() | st.builds(object),
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner)
    | st.dictionaries(keys, inner, max_size=4),
    max_leaves=15,
)  # fmt: skip


def floats(value: Any) -> Any:
    """The value with integers as floats where these are exact, because the difference is not sent."""
    if isinstance(value, dict):
        return {key: floats(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [floats(item) for item in value]
    return float(value) if type(value) is int and int(float(value)) == value else value


@given(anything)
def test_every_converted_value_can_be_sent(value: Any) -> None:
    """Any converted value can be encoded, is received unchanged, and converts to itself."""
    for limits in (METADATA, PARAMETERS):
        conversion = Conversion(limits, redacts=False)
        found = conversion.value({"value": value})
        assert isinstance(found, dict)
        for message in metadata_messages.metadata_to(found).values():
            assert repr(floats(metadata_messages._value_of(message))) == repr(floats(found["value"]))
        assert repr(Conversion(limits, redacts=False).value(found)) == repr(found)


def test_losses_are_counted_by_name() -> None:
    """Losses of several values are counted under the name of each."""
    conversion = Conversion(METADATA, redacts=True)
    conversion.value({"a": object(), "b": [object(), math.nan]})
    assert [loss.path for loss in conversion.losses] == [("a",), ("b", 0)]
    assert isinstance(conversion.losses[0], Loss)
