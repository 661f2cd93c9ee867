"""`make bench`: what a durable create and a read cost beside a bare echo, as ratios of one run."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from bench import sdk, throughput
from bench.load import GENERATOR
from bench.report import PUBLISHED, keep, publish
from bench.servers import UnverifiedError


def main() -> None:
    """Measure, verify, and write the report."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="how often each is measured, in turns")
    parser.add_argument("--calls", type=int, default=4000, help="calls of one measurement, fewer where they are slow")
    parser.add_argument("--quick", action="store_true", help="3 rounds of 1000 calls: under three minutes")
    parser.add_argument("--into", type=Path, default=PUBLISHED, help="the folder of the report")
    given = parser.parse_args()
    rounds, calls = (3, 1000) if given.quick else (given.rounds, given.calls)
    begun = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - begun:6.0f} s  {text}", file=sys.stderr, flush=True)

    try:
        found = throughput.measure(rounds, calls, tell)
        tell("the SDK")
        of_sdk = sdk.measure(rounds)
    except UnverifiedError as error:
        raise SystemExit(f"bench: {error}: no figure counts") from None
    keep(given.into, throughput={**found, "generator": GENERATOR, "rounds": rounds}, sdk=of_sdk)
    print(publish(given.into))
    tell(f"the report is {given.into / 'report.md'}")


if __name__ == "__main__":
    main()
