"""The figures of calls. They are counted without the library, which would take longer than a get may become slower."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from time import perf_counter

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from tallymark_server.observer import CallObserver, Headers

# In seconds: a get takes less than one millisecond, a large batch seconds.
CALLS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# The methods that are streams, which last for as long as their callers like. No other method has such a name.
STREAMS = frozenset({"Watch", "Export"})
_LABELS = ("service", "method", "transport")
_BOUNDS = (*(str(bound) for bound in CALLS), "+Inf")


class CallFigures(Collector):
    """How often each method was called, how the calls ended, and how long they took."""

    def __init__(self) -> None:
        self._methods: dict[tuple[str, str, str], _Method] = {}

    def of(self, service: str, method: str, transport: str) -> CallObserver:
        """Return the observer of the method's calls over the transport."""
        return self._methods.setdefault((service, method, transport), _Method())

    def collect(self) -> Iterator[Metric]:
        """Yield the figures. A method that was not called has none."""
        calls = CounterMetricFamily("tallymark_calls", "Calls that have ended.", labels=(*_LABELS, "code"))
        durations = HistogramMetricFamily(
            "tallymark_call_duration_seconds", "How long calls took, without streams.", labels=_LABELS
        )
        for labels, method in self._methods.items():
            codes = method.codes.copy()
            for code, count in codes.items():
                calls.add_metric((*labels, code), count)
            if codes and labels[1] not in STREAMS:
                buckets = list(zip(_BOUNDS, accumulate(method.buckets), strict=True))
                durations.add_metric(labels, buckets, method.seconds)
        yield calls
        yield durations


class _Method(CallObserver):
    """The calls of one method: how many ended with each code, and how many took how long."""

    __slots__ = ("buckets", "codes", "seconds")

    def __init__(self) -> None:
        self.codes: dict[str, int] = {}
        self.buckets = [0] * len(_BOUNDS)
        self.seconds = 0.0

    def begin(self, headers: Headers) -> float:
        """Return the time."""
        del headers
        return perf_counter()

    def end(self, begun: float, code: str) -> None:
        """Count the call."""
        seconds = perf_counter() - begun
        self.codes[code] = self.codes.get(code, 0) + 1
        self.buckets[bisect_left(CALLS, seconds)] += 1
        self.seconds += seconds
