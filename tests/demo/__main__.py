"""`make demo`: starts the service, trains several times, promotes the best, prints what was recorded, and stops it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tallymark import Client, ModelVersion, configure
from tallymark.testing import Server, ServerError

# Forests from a bad one to a good one.
SETTINGS = ((1, 1), (5, 2), (25, 4), (100, 8))
MODEL = "breast_cancer"


def promote_best(client: Client) -> ModelVersion:
    """Bring the version with the highest AUC into production, in the place of whichever is there."""
    best = next(iter(client.list_versions(MODEL, order_by="metadata.auc desc, number")))
    return client.set_stage(best.resource_name, "production", force=True, reason="the highest AUC")


def print_versions(client: Client) -> None:
    """Every version of the model, as the registry has it."""
    print(f"{'NUMBER':>6}  {'NAME':<8} {'TREES':>5} {'DEPTH':>5} {'AUC':>7} {'ACCURACY':>8}  {'STAGE':<10}  RUN")
    for version in sorted(client.list_versions(MODEL), key=lambda version: version.number):
        facts = version.metadata
        print(
            f"{version.number:>6}  {version.name:<8} {facts['trees']:>5} {facts['depth']:>5}"
            f" {facts['auc']:>7.4f} {facts['accuracy']:>8.4f}  {version.stage.value:<10}  {version.run}"
        )


def main() -> None:
    """Train and tell."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument(
        "--db", type=Path, default=Path("demo.db"), help="the SQLite file; a second demo goes on counting"
    )
    parser.add_argument("--listen", default="127.0.0.1:0", help="where the service answers; port 0 picks a free one")
    parser.add_argument("--http", default="127.0.0.1:0", help="where the dashboard is shown; port 0 picks a free one")
    parser.add_argument("--keep", action="store_true", help="leave the service running until Enter is pressed")
    given = parser.parse_args()
    try:
        with Server(given.db, address=given.listen, http=given.http) as server:
            configure(url=server.address, store=f"{given.db}.artifacts")
            print(f"tallymark serves {given.db} on {server.address}\nand its dashboard at {server.dashboard}\n")
            from demo.training import training_pipeline

            for trees, depth in SETTINGS:
                auc = training_pipeline(trees, depth)
                print(f"trained a forest of {trees} trees of depth {depth}: AUC {auc:.4f}")
            print()
            with Client() as client:
                best = promote_best(client)
                print_versions(client)
                (forest,) = client.list_artifacts(best.resource_name)
                print(f"\nNo. {best.number} is in production: {forest.size:,} bytes at {forest.uri}")
            if given.keep:
                print(f"See them at {server.dashboard}models/{MODEL} - Enter stops the service.", flush=True)
                sys.stdin.readline()
            else:
                print(
                    "The dashboard ends with the service; make demo OPTIONS=--keep leaves both until Enter is pressed."
                )
    except ServerError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
