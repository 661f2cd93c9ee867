"""`make demo-postgres`: train on two replicas of the service and one PostgreSQL, kill a replica, and train on."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from demo.versions import FOREST_SIZES, MODEL, conclude, train
from faults.replicas import Replicas
from postgres_server import PostgresServer
from tallymark import configure
from tallymark.testing import ServerError


def main() -> None:
    """Train half of the models on both replicas, kill the one that was used, and train the rest on the other."""
    parser = argparse.ArgumentParser(prog="make demo-postgres", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything running until Enter is pressed")
    keep = parser.parse_args().keep
    folder = Path("demo-postgres")
    folder.mkdir(exist_ok=True)
    try:
        with PostgresServer() as postgres, Replicas(postgres.url(), folder, 2, http="127.0.0.1:0") as replicas:
            configure(url=replicas.url, store=str(folder / "artifacts"))
            print(f"database   {postgres.url()}")
            for server in replicas.servers:
                print(f"replica    {server.address}, dashboard {server.dashboard}")
            print()
            train(FOREST_SIZES[:2])
            lost, left = replicas.servers
            lost.kill()
            print(f"killed the replica at {lost.address}; the programs go on with {left.address}")
            train(FOREST_SIZES[2:])
            conclude()
            if keep:
                print(f"Open {left.dashboard}models/{MODEL} - press Enter to stop everything.", flush=True)
                sys.stdin.readline()
    except ServerError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
