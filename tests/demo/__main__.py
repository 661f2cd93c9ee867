"""`make demo`: starts the service on a file, trains several times, prints what was recorded, and stops the service."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tallymark import Client, configure
from tallymark.testing import Server, ServerError

# Forests from a bad one to a good one.
SETTINGS = ((1, 1), (5, 2), (25, 4), (100, 8))


def print_versions(client: Client) -> None:
    """Every version of the model, as the registry has it."""
    print(f"{'NUMBER':>6}  {'NAME':<8} {'TREES':>5} {'DEPTH':>5} {'AUC':>7} {'ACCURACY':>8}  RUN")
    for version in sorted(client.list_versions("breast_cancer"), key=lambda version: version.number):
        facts = version.metadata
        print(
            f"{version.number:>6}  {version.name:<8} {facts['trees']:>5.0f} {facts['depth']:>5.0f}"
            f" {facts['auc']:>7.4f} {facts['accuracy']:>8.4f}  {version.run}"
        )


def main() -> None:
    """Train and tell."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument(
        "--db", type=Path, default=Path("demo.db"), help="the SQLite file; a second demo goes on counting"
    )
    parser.add_argument("--listen", default="127.0.0.1:0", help="where the service answers; port 0 picks a free one")
    parser.add_argument("--keep", action="store_true", help="leave the service running until Enter is pressed")
    given = parser.parse_args()
    try:
        with Server(given.db, address=given.listen) as server:
            configure(url=server.address, store=f"{given.db}.artifacts")
            print(f"tallymark serves {given.db} on {server.address}\n")
            from demo.training import training_pipeline

            for trees, depth in SETTINGS:
                auc = training_pipeline(trees, depth)
                print(f"trained a forest of {trees} trees of depth {depth}: AUC {auc:.4f}")
            print()
            with Client() as client:
                print_versions(client)
                (forest,) = client.list_artifacts("breast_cancer")
                print(f"\nthe last forest: {forest.size:,} bytes at {forest.uri}")
            if given.keep:
                input(f"\nThe service still answers on {server.address}; press Enter to stop it. ")
    except ServerError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
