"""`make demo`: start the service, train several times, promote the best version, print all versions, and stop."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tallymark import Client, ModelVersion, configure
from tallymark.testing import Server, ServerError

# The trees and the depth of each forest, from the least accurate to the most accurate.
FOREST_SIZES = ((1, 1), (5, 2), (25, 4), (100, 8))
MODEL = "breast_cancer"


def promote_best(client: Client) -> ModelVersion:
    """Promote the version with the highest AUC to production, replacing the one that is in production."""
    best = next(iter(client.list_versions(MODEL, order_by="metadata.auc desc, number")))
    return client.set_stage(best.resource_name, "production", force=True, reason="the highest AUC")


def print_versions(client: Client) -> None:
    """Print every version of the model as a table."""
    print(f"{'NUMBER':>6}  {'NAME':<8} {'TREES':>5} {'DEPTH':>5} {'AUC':>7} {'ACCURACY':>8}  {'STAGE':<10}  RUN")
    for version in sorted(client.list_versions(MODEL), key=lambda version: version.number):
        facts = version.metadata
        print(
            f"{version.number:>6}  {version.name:<8} {facts['trees']:>5} {facts['depth']:>5}"
            f" {facts['auc']:>7.4f} {facts['accuracy']:>8.4f}  {version.stage.value:<10}  {version.run}"
        )


def main() -> None:
    """Train the model, promote the best version, and print the result."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument(
        "--db",
        type=Path,
        default=Path("demo.db"),
        help="the SQLite file; another demo on it continues the version numbers",
    )
    parser.add_argument("--listen", default="127.0.0.1:0", help="the address of the service; port 0 picks a free one")
    parser.add_argument("--http", default="127.0.0.1:0", help="the address of the dashboard; port 0 picks a free one")
    parser.add_argument("--keep", action="store_true", help="leave the service running until Enter is pressed")
    given = parser.parse_args()
    try:
        with Server(given.db, address=given.listen, http=given.http) as server:
            configure(url=server.address, store=f"{given.db}.artifacts")
            print(f"service    {server.address}, storing in {given.db}\ndashboard  {server.dashboard}\n")
            from demo.training import training_pipeline

            for trees, depth in FOREST_SIZES:
                auc = training_pipeline(trees, depth)
                print(f"trained a random forest, trees={trees} depth={depth}: AUC {auc:.4f}")
            print()
            with Client() as client:
                best = promote_best(client)
                print_versions(client)
                (forest,) = client.list_artifacts(best.resource_name)
                print(f"\nVersion {best.number} is in production. Its model file: {forest.uri} ({forest.size:,} bytes)")
            if given.keep:
                print(f"Open {server.dashboard}models/{MODEL} - press Enter to stop the service.", flush=True)
                sys.stdin.readline()
            else:
                print("The service stops now; `make demo OPTIONS=--keep` keeps it running with its dashboard.")
    except ServerError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
