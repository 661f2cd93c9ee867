"""`make demo`: start the service, train several times, promote the best version, print all versions, and stop."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from demo.versions import FOREST_SIZES, MODEL, conclude, train
from tallymark import configure
from tallymark.testing import Server, ServerError
from tallymark_server.storage.database_url import is_url, shown


def main() -> None:
    """Train the model, promote the best version, and print the result."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument(
        "--db",
        default="demo.db",
        help="the SQLite file, or the URL of a PostgreSQL database; another demo on it continues the version numbers",
    )
    parser.add_argument("--listen", default="127.0.0.1:0", help="the address of the service; port 0 picks a free one")
    parser.add_argument("--http", default="127.0.0.1:0", help="the address of the dashboard; port 0 picks a free one")
    parser.add_argument("--keep", action="store_true", help="leave the service running until Enter is pressed")
    given = parser.parse_args()
    file = Path("demo.db" if is_url(given.db) else given.db)
    try:
        with Server(file, ("--db", given.db), address=given.listen, http=given.http) as server:
            configure(url=server.address, store=f"{file}.artifacts")
            print(f"service    {server.address}, storing in {shown(given.db)}\ndashboard  {server.dashboard}\n")
            train(FOREST_SIZES)
            conclude()
            if given.keep:
                print(f"Open {server.dashboard}models/{MODEL} - press Enter to stop the service.", flush=True)
                sys.stdin.readline()
            else:
                print("The service stops now; `make demo OPTIONS=--keep` keeps it running with its dashboard.")
    except ServerError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
