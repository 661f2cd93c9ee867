"""Convert any Python value to a type of the registry: None, bool, int, float, str, datetime, Uri, list or dict.

| value | is recorded as |
| --- | --- |
| None, NaT, pandas.NA | None |
| bool, int, float, and numpy's | themselves; an int beyond 64 bits as the text of its digits |
| str, Uri | itself; lone surrogates and U+0000 are escaped, and a text that is too long is cut |
| datetime, pandas.Timestamp, numpy.datetime64 | a time in UTC; without a time zone it is taken as local time |
| date, time | ISO 8601 text: 2026-01-31, 10:30:00 |
| timedelta, pandas.Timedelta, numpy.timedelta64 | seconds, as a number |
| Decimal | a number, if that keeps every digit; else text |
| complex, Fraction, UUID, Path, IP addresses, time zones, dtypes, Interval, Period | text |
| Enum | the value, if it is also an int, float or str (StrEnum, IntEnum); else its name |
| bytes, bytearray, memoryview | `sha256:... (12 bytes)` |
| list, tuple, deque, range, array.array, views of dicts | a list; a long range as text |
| set, frozenset | a list, sorted |
| dict and other mappings, Namespace | a mapping; keys that are no text become text |
| dataclass, namedtuple, attrs, pydantic, msgspec.Struct | a mapping of its fields |
| class, function, method, partial, module | its qualified name |
| re.Pattern | the pattern |
| numpy scalar, array or tensor without dimensions | as the number, time or text that it holds |
| array, tensor, Series, Index, Categorical of at most 1,000 values | a list, of lists where it has dimensions; a Series with labels that are text as a mapping |
| larger arrays and tensors | `ndarray float64 (200000, 20)` |
| tables | `DataFrame (200000, 20)` |
| iterators, and whatever else | in parameters the name of its class; in metadata it is left out |

A conversion never raises, never consumes an iterator, and reports what it left out or changed.

recordable   convert metadata, parameters and metrics of a program
convert      convert one value within limits
converters   the converters of types
arrays       convert arrays, tensors, series and tables
fields       the fields of dataclasses and the like
vocabulary   the types that a conversion and the converters share
secrecy      classify names and types whose values are secrets
redaction    replace secrets in texts
problems     the recording problems of a run
"""  # noqa: E501 - lines of the table are not wrapped
