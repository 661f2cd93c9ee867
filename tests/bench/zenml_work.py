"""Call ZenML for so many seconds, and print the rate as JSON: `zenml_work.py create|get|count CALLERS SECONDS`.

`bench.peers` runs this in ZenML's own environment, with its store in the folder ZENML_CONFIG_PATH.
"""

from __future__ import annotations

import json
import sys
import threading
import time

from zenml.client import Client

MODEL = "bench"


def main() -> None:
    """Make the calls, and print how many succeeded."""
    kind, callers, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    client = Client()
    if kind == "count":
        print(json.dumps({"count": client.list_model_versions(MODEL, size=1).total}))
        return
    if kind == "create" and not client.list_models(name=MODEL).total:
        client.create_model(MODEL)
    done = [0] * callers

    def calling(number: int) -> None:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            if kind == "create":
                client.create_model_version(MODEL)
            else:
                client.get_model_version(MODEL, 1)
            done[number] += 1

    threads = [threading.Thread(target=calling, args=(number,)) for number in range(callers)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"per_second": sum(done) / (time.perf_counter() - begun), "count": sum(done)}))


if __name__ == "__main__":
    main()
