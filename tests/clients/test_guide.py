"""The guide to the API: its code is that of the tested clients, and its commands work."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
from grpc_calls import PROJECT, Calls
from clients.scenario import HERE
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass

from documents import anchors, blocks, chapter
from system_programs import program
from tallymark import Client, errors
from tallymark.testing import Server
from tallymark.v1 import event_log_pb2, model_registry_pb2
from tallymark.v1.error_pb2 import ErrorReason
from tallymark.v1.model_pb2 import STAGE_PRODUCTION
from tallymark.v1.model_registry_pb2 import ListModelVersionsRequest
from tallymark_server.rpc.server import OPTIONS

GUIDE = "protos/README.md"
BLOCKS = blocks(GUIDE)
FOLDERS = {"js": "node", "python": "python", "go": "go", "java": "java"}


def test_the_generator_settings_of_the_guide_are_those_of_the_clients() -> None:
    """The guide shows the buf.gen.yaml of each tested client, and no others."""
    shown = {block.text for block in BLOCKS if block.language == "yaml"}
    assert shown == {path.read_text() for path in HERE.glob("*/buf.gen.yaml")}


@pytest.mark.parametrize("kind", FOLDERS)
def test_each_line_of_code_is_in_a_tested_client(kind: str) -> None:
    """Each line of code in the guide is a line of the client that is tested."""
    suffix = {"js": "mjs", "python": "py"}.get(kind, kind)
    sources = "\n".join(path.read_text() for path in (HERE / FOLDERS[kind]).rglob(f"*.{suffix}")).splitlines()
    lines = [line for block in BLOCKS if block.language == kind for line in block.text.splitlines()]
    assert lines
    assert [line for line in lines if line not in sources] == []


def test_the_curl_commands_work(shared_server: Server, shared_calls: Calls) -> None:
    """Both curl commands of the guide return resources of the server."""
    shared_calls.create_model("churn")
    shared_calls.create_version("churn")
    shared_calls.set_stage("churn", 1, STAGE_PRODUCTION)
    program("curl", packages=("curl",))
    [script] = [block.text for block in BLOCKS if block.language == "sh" and block.text.startswith("curl")]
    script = script.replace("http://127.0.0.1:8080/", shared_server.dashboard).replace("curl ", "curl --silent --fail ")
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"name":') == 2


@pytest.mark.parametrize("document", [GUIDE, "README.md"])
def test_each_grpcurl_command_calls_an_existing_method(document: str) -> None:
    """The grpcurl commands use methods and fields of the contract."""
    shown = "".join(block.text for block in blocks(document) if block.language == "sh")
    called = re.findall(r"-d '([^']*)'[ \\\n]+\S+ tallymark\.v1\.(\w+)/(\w+)", shown)
    assert len(called) == shown.count("grpcurl ") > 0
    for body, service, method in called:
        found = [module.DESCRIPTOR.services_by_name.get(service) for module in (model_registry_pb2, event_log_pb2)]
        (descriptor,) = [service for service in found if service is not None]
        message = GetMessageClass(descriptor.methods_by_name[method].input_type)()
        assert ParseDict(json.loads(body), message).ByteSize() > 0


def test_each_filter_and_each_order_of_the_guide_works(shared_server: Server, shared_calls: Calls) -> None:
    """Each filter of the guide finds a version that fulfils it, and each order is accepted."""
    [filters, orders] = [block.text.splitlines() for block in BLOCKS if block.chapter == "Filters and orders"]
    with Client(shared_server.address, actor="ana") as client:
        client.create_model("filters")
        facts = {"auc": 0.95, "depth": None}
        client.create_version("filters", "rc-1", tags=["growth"], metadata=facts)
        client.set_stage("filters/1", "production")
        client.set_alias("filters/1", "champion")
    parent = f"{PROJECT}/models/filters"
    for text in filters:
        page = shared_calls.models.ListModelVersions(ListModelVersionsRequest(parent=parent, filter=text))
        assert [version.number for version in page.model_versions] == [1], text
    for text in orders:
        page = shared_calls.models.ListModelVersions(ListModelVersionsRequest(parent=parent, order_by=text))
        assert len(page.model_versions) == 1, text


def test_each_reference_of_the_guide_finds_its_version(shared_server: Server) -> None:
    """The short form of each reference in the guide finds the version."""
    shown = re.findall(r"^\| `[^|]*\| `(churn[^`]*)` \|", chapter(GUIDE, "Resource names"), re.MULTILINE)
    assert len(shown) == 5
    with Client(shared_server.address) as client:
        client.create_model("references")
        for _ in range(40):
            client.create_version("references")
        client.create_version("references", "1.0.5")
        client.set_stage("references/41", "production")
        client.set_alias("references/41", "champion")
        for reference in shown:
            assert client.get_version(reference.replace("churn", "references")).number == 41, reference


def test_the_guide_has_an_entry_for_each_reason() -> None:
    """Each reason has an anchor in the guide and a class in `tallymark.errors`."""
    names = {name.removeprefix("ERROR_REASON_") for name, number in ErrorReason.items() if number}
    assert {name.lower() for name in names} <= anchors(GUIDE)
    assert all(issubclass(getattr(errors, name.title().replace("_", "")), errors.TallymarkError) for name in names)


def test_the_guide_has_the_limit_of_calls_of_a_connection() -> None:
    """The guide has the limit of concurrent calls of a connection that the server sets."""
    assert f"at most {dict(OPTIONS)['grpc.max_concurrent_streams']} calls" in chapter(GUIDE, "Connections and limits")
