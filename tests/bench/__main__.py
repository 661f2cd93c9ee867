"""`make bench`: measure creates, reads and the SDK, with a bare gRPC echo for comparison."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from bench import sdk, throughput
from bench.load import GENERATOR
from bench.report import PUBLISHED, publish, save
from bench.servers import UnverifiedError


def main() -> None:
    """Measure, verify, and write the report."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="how often each measurement is repeated")
    parser.add_argument("--calls", type=int, default=4000, help="calls of one measurement, fewer for slow ones")
    parser.add_argument("--quick", action="store_true", help="3 rounds of 1000 calls: under three minutes")
    parser.add_argument("--into", type=Path, default=PUBLISHED, help="the folder of the report")
    given = parser.parse_args()
    rounds, calls = (3, 1000) if given.quick else (given.rounds, given.calls)
    begun = time.monotonic()

    def progress(text: str) -> None:
        print(f"{time.monotonic() - begun:6.0f} s  {text}", file=sys.stderr, flush=True)

    try:
        found = throughput.measure(rounds, calls, progress)
        progress("measuring the SDK")
        of_sdk = sdk.measure(rounds)
    except UnverifiedError as error:
        raise SystemExit(f"bench: {error}; the figures are not valid") from None
    save(given.into, throughput={**found, "generator": GENERATOR, "rounds": rounds}, sdk=of_sdk)
    print(publish(given.into))
    progress(f"wrote the report to {given.into / 'report.md'}")


if __name__ == "__main__":
    main()
