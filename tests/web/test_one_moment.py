"""A page combines no two moments: its parts fit each other, whatever changes while it is made."""

from __future__ import annotations

import threading
from collections import Counter

from grpc_calls import Calls
from web.http_client import connected, Answer

from tallymark.testing import Server
from tallymark.v1.model_pb2 import STAGE_PRODUCTION

PAGES = 150


def test_the_parts_of_a_page_are_of_one_moment(server: Server, calls: Calls) -> None:
    """While two versions pass production on, the list of versions shows there whom the page names as the holder."""
    calls.create_model("churn")
    for _ in range(2):
        calls.create_version("churn")
    calls.set_stage("churn", 1, STAGE_PRODUCTION)
    ended, shown = threading.Event(), Counter[tuple[int, tuple[int, ...]]]()

    def pass_on() -> None:
        number = 1
        while not ended.is_set():
            number = 3 - number
            calls.set_stage("churn", number, STAGE_PRODUCTION, force=True)

    passing = threading.Thread(target=pass_on)
    passing.start()
    try:
        with connected(server.dashboard) as connection:
            for _ in range(PAGES):
                connection.request("GET", "/models/churn.json")
                page = Answer(connection.getresponse()).json
                listed = [each["number"] for each in page["modelVersions"] if each.get("stage") == "STAGE_PRODUCTION"]
                shown[(page["stages"]["production"], tuple(listed))] += 1
    finally:
        ended.set()
        passing.join()
    assert shown.keys() == {(1, (1,)), (2, (2,))}
