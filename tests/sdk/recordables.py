"""The types of values that programs record, and what is recorded for each, in metadata and in parameters."""

import argparse
import array
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import ipaddress
import math
import pathlib
import re
import types
import typing
import uuid
import zoneinfo
from typing import Any, NamedTuple

import attrs
import msgspec
import numpy
import pandas
import pydantic
import pydantic.v1
from sklearn.linear_model import LogisticRegression

from tallymark import Uri

NOON = dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)
# The local time zone decides what a naive time means.
NAIVE = NOON.replace(tzinfo=None)
LOCAL = NAIVE.astimezone(dt.UTC)


class Color(enum.Enum):
    RED = 1


class Optimizer(enum.StrEnum):
    ADAM = "adam"


class Level(enum.IntEnum):
    HIGH = 3


class Flags(enum.Flag):
    A = 1
    B = 2


class Point(NamedTuple):
    x: int
    y: float


@dataclasses.dataclass
class Config:
    lr: float = 0.1
    layers: tuple[int, ...] = (64, 32)
    since: dt.date = dt.date(2026, 1, 31)
    kind: typing.ClassVar[str] = "none"


@attrs.define
class Attrs:
    lr: float = 0.1


class Struct(msgspec.Struct):
    lr: float = 0.1


class Pydantic(pydantic.BaseModel, extra="allow"):
    lr: float = 0.1


class Pydantic1(pydantic.v1.BaseModel):
    lr: float = 0.1


class Typed(typing.TypedDict):
    lr: float


class Trainer: ...


def train() -> None: ...


def recursive() -> list[Any]:
    found: list[Any] = [1]
    found.append(found)
    return found


SHA = "sha256:bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721 (6 bytes)"
HERE = __name__

# What is recorded for each value, without loss, in metadata and in parameters.
KEPT: dict[str, tuple[Any, Any]] = {
    "None": (None, None),
    "bool": (True, True),
    "int": (7, 7),
    "int that no double keeps": (2**53 + 1, 2**53 + 1),
    "int of 64 bits": (-(2**63), -(2**63)),
    "int beyond 64 bits": (2**63, "9223372036854775808"),
    "float": (0.5, 0.5),
    "nan": (math.nan, math.nan),
    "inf": (-math.inf, -math.inf),
    "complex": (1 + 2j, "(1+2j)"),
    "str": ("é", "é"),
    "empty str": ("", ""),
    "Uri": (Uri("s3://bucket/key"), Uri("s3://bucket/key")),
    "aware datetime": (NOON, NOON),
    "datetime of another zone": (NOON.astimezone(dt.timezone(dt.timedelta(hours=5))), NOON),
    "naive datetime": (NAIVE, LOCAL),
    "last datetime": (
        dt.datetime.max.replace(tzinfo=dt.timezone(-dt.timedelta(hours=1))), "9999-12-31T23:59:59.999999-01:00"
    ),
    "date": (dt.date(2026, 1, 31), "2026-01-31"),
    "time": (dt.time(10, 30), "10:30:00"),
    "timedelta": (dt.timedelta(minutes=1, milliseconds=500), 60.5),
    "Decimal": (decimal.Decimal("0.1"), 0.1),
    "Decimal of many digits": (decimal.Decimal("0.12345678901234567890"), "0.12345678901234567890"),
    "Decimal nan": (decimal.Decimal("nan"), math.nan),
    "Fraction": (fractions.Fraction(4, 5), "4/5"),
    "UUID": (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    "Path": (pathlib.PurePosixPath("a/b.csv"), "a/b.csv"),
    "address": (ipaddress.ip_address("10.0.0.1"), "10.0.0.1"),
    "zone": (zoneinfo.ZoneInfo("UTC"), "UTC"),
    "Enum": (Color.RED, "RED"),
    "StrEnum": (Optimizer.ADAM, "adam"),
    "IntEnum": (Level.HIGH, 3),
    "Flag": (Flags.A | Flags.B, "A|B"),
    "bytes": (b"abcdef", SHA),
    "bytearray": (bytearray(b"abcdef"), SHA),
    "memoryview": (memoryview(b"abcdef"), SHA),
    "list": ([1, "a", None], [1, "a", None]),
    "tuple": ((64, 32), [64, 32]),
    "deque": (collections.deque([1, 2], 2), [1, 2]),
    "range": (range(3), [0, 1, 2]),
    "long range": (range(10**6), "range(0, 1000000)"),
    "endless range": (range(10**30), f"range(0, {10**30})"),
    "array.array": (array.array("d", [1, 2]), [1.0, 2.0]),
    "keys": ({"a": 1}.keys(), ["a"]),
    "set": ({"b", "a", 10, 9}, [9, 10, "a", "b"]),
    "frozenset": (frozenset({(1, 2)}), [[1, 2]]),
    "dict": ({"a": {"b": [1.5]}}, {"a": {"b": [1.5]}}),
    "dict with other keys": (
        {1: "a", None: "b", (1, "x"): "c", Color.RED: "d"}, {"1": "a", "None": "b", "1, x": "c", "RED": "d"}
    ),
    "defaultdict": (collections.defaultdict(int, a=1), {"a": 1}),
    "mapping": (types.MappingProxyType({"a": 1}), {"a": 1}),
    "TypedDict": (Typed(lr=0.1), {"lr": 0.1}),
    "Namespace": (argparse.Namespace(lr=0.1), {"lr": 0.1}),
    "SimpleNamespace": (types.SimpleNamespace(lr=0.1), {"lr": 0.1}),
    "namedtuple": (Point(1, 2.5), {"x": 1, "y": 2.5}),
    "dataclass": (Config(), {"lr": 0.1, "layers": [64, 32], "since": "2026-01-31"}),
    "attrs": (Attrs(), {"lr": 0.1}),
    "msgspec": (Struct(), {"lr": 0.1}),
    "pydantic": (Pydantic.model_validate({"extra": Level.HIGH}), {"lr": 0.1, "extra": 3}),
    "pydantic 1": (Pydantic1(), {"lr": 0.1}),
    "class": (Trainer, f"{HERE}.Trainer"),
    "builtin class": (int, "int"),
    "function": (train, f"{HERE}.train"),
    "builtin": (len, "len"),
    "lambda": (lambda: 0, f"{HERE}.<lambda>"),
    "partial": (functools.partial(train), f"{HERE}.train"),
    "module": (math, "math"),
    "Pattern": (re.compile("a+"), "a+"),
    "numpy.bool": (numpy.bool_(True), True),
    "numpy.int8": (numpy.int8(-7), -7),
    "numpy.uint64": (numpy.uint64(2**63 - 1), 2**63 - 1),
    "numpy.float16": (numpy.float16(0.5), 0.5),
    "numpy.float32": (numpy.float32(0.5), 0.5),
    "numpy.float64": (numpy.float64(0.1), 0.1),
    "numpy.longdouble": (numpy.longdouble(0.5), 0.5),
    "numpy.complex128": (numpy.complex128(1), "(1+0j)"),
    "numpy.str": (numpy.str_("a"), "a"),
    "numpy.bytes": (numpy.bytes_(b"abcdef"), SHA),
    "numpy.datetime64 of a day": (numpy.datetime64("2026-01-31"), "2026-01-31"),
    "numpy.datetime64": (numpy.datetime64("2026-01-31T12:00:00.000000000"), LOCAL),
    "numpy NaT": (numpy.datetime64("NaT"), None),
    "numpy.timedelta64": (numpy.timedelta64(1500, "ms"), 1.5),
    "numpy.timedelta64 in ns": (numpy.timedelta64(1_500_000_000, "ns"), 1.5),
    "numpy.timedelta64 of years": (numpy.timedelta64(2, "Y"), "2 years"),
    "dtype": (numpy.dtype("float64"), "float64"),
    "0-d array": (numpy.array(2.5), 2.5),
    "array": (numpy.arange(4.0).reshape(2, 2), [[0.0, 1.0], [2.0, 3.0]]),
    "array of objects": (numpy.array([None, "a", Level.HIGH], dtype=object), [None, "a", 3]),
    "array of times": (numpy.array(["2026-01-31T12", "NaT"], dtype="M8[ns]"), [LOCAL, None]),
    "array of many": (numpy.zeros(1000), [0.0] * 1000),
    "Timestamp": (pandas.Timestamp("2026-01-31 12:00"), LOCAL),
    "aware Timestamp": (pandas.Timestamp("2026-01-31 12:00", tz="UTC"), NOON),
    "NaT": (pandas.NaT, None),
    "NA": (pandas.NA, None),
    "Timedelta": (pandas.Timedelta("1min"), 60.0),
    "Interval": (pandas.Interval(0, 1), "(0, 1]"),
    "Period": (pandas.Period("2026-01", "M"), "2026-01"),
    "Series": (pandas.Series([1, 2]), [1, 2]),
    "Series of means": (pandas.Series([0.5, math.nan], index=["a", "b"]), {"a": 0.5, "b": math.nan}),
    "Series of times": (pandas.Series([pandas.Timestamp(NOON), pandas.NaT]), [NOON, None]),
    "Index": (pandas.Index(["a", "b"]), ["a", "b"]),
    "Categorical": (pandas.Categorical(["a", "b", "a"]), ["a", "b", "a"]),
    "get_params": ({"class_weight": LogisticRegression().get_params()["class_weight"]}, {"class_weight": None}),
}  # fmt: skip

FRAME = pandas.DataFrame(numpy.zeros((200_000, 20)))
LONG = "x" * 70_000

# Values that are described, cut or left out: as metadata (if any), as parameters, and a part of the reason.
LOST: dict[str, tuple[Any, list[Any], Any, str]] = {
    "object": (Trainer(), [], "Trainer", "a Trainer has no form"),
    "generator": ((i for i in range(3)), [], "generator", "a generator has no form"),
    "estimator": (LogisticRegression(), [], "LogisticRegression", "has no form"),
    "large array": (
        numpy.zeros((200_000, 20)), ["ndarray float64 (200000, 20)"], "ndarray float64 (200000, 20)", "1,000 values"
    ),
    "table": (FRAME, ["DataFrame (200000, 20)"], "DataFrame (200000, 20)", "artifact"),
    "large Series": (FRAME[0], ["Series float64 (200000,)"], "Series float64 (200000,)", "1,000 values"),
    "long text": (LONG, ["x" * 60_000 + "… (70,000 characters)"], "x" * 1000 + "… (70,000 characters)", "is cut"),
    "huge list": (list(range(10**6)), ["list (1,000,000 items)"], "list (1,000,000 items)", "too large"),
    "huge int": (1 << 10**6, [], "int", "bits"),
    "null character": ("a\0b", ["a\\x00b"], "a\\x00b", "U+0000"),
    "surrogate": ("a\ud800", ["a\\ud800"], "a\\ud800", "surrogate"),
    "recursive list": (recursive(), [[1]], [1, "list"], "contains itself"),
    "colliding keys": ({1: "a", "1": "b"}, [{"1": "b"}], {"1": "b"}, "last one is kept"),
    "part of a list": ([1, Trainer()], [[1]], [1, "Trainer"], "no form"),
}  # fmt: skip

# Values that are accepted as metrics, and the number of each.
MEASURED: dict[str, tuple[Any, float]] = {
    "int": (7, 7.0),
    "nan": (math.nan, math.nan),
    "large int": (2**60, 2.0**60),
    "Decimal": (decimal.Decimal("0.12345678901234567890"), 0.12345678901234568),
    "Fraction": (fractions.Fraction(1, 3), 1 / 3),
    "timedelta": (dt.timedelta(minutes=1), 60.0),
    "IntEnum": (Level.HIGH, 3.0),
    "numpy.float16": (numpy.float16(0.5), 0.5),
    "numpy.int64": (numpy.int64(5), 5.0),
    "numpy.longdouble": (numpy.longdouble(0.5), 0.5),
    "0-d array": (numpy.array(2.5), 2.5),
    "array of one": (numpy.array([[2.5]]), 2.5),
}
NOT_MEASURED: dict[str, Any] = {
    "None": None,
    "bool": True,
    "str": "0.5",
    "NaT": pandas.NaT,
    "NA": pandas.NA,
    "complex": 1j,
    "list": [1.0],
    "array": numpy.zeros(2),
    "int that no double is near": 10**400,
    "object": Trainer(),
    "datetime": NOON,
}
