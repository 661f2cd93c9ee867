"""The guide to the API: what it shows is what the tested clients do, and what a server answers."""

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
from tallymark.v1.model_registry_pb2 import ListModelVersionsRequest
from tallymark_server.rpc.server import OPTIONS

GUIDE = "protos/README.md"
BLOCKS = blocks(GUIDE)
FOLDERS = {"js": "node", "python": "python", "go": "go", "java": "java"}


def test_the_settings_of_the_generators_are_those_that_are_tested() -> None:
    """Each setting of buf that the guide shows is that of a client which is generated, and none is left out."""
    shown = {block.text for block in BLOCKS if block.language == "yaml"}
    assert shown == {path.read_text() for path in HERE.glob("*/buf.gen.yaml")}


@pytest.mark.parametrize("kind", FOLDERS)
def test_each_line_of_code_stands_in_a_tested_client(kind: str) -> None:
    """What the guide shows in a language is cut from the client that is run."""
    suffix = {"js": "mjs", "python": "py"}.get(kind, kind)
    sources = "\n".join(path.read_text() for path in (HERE / FOLDERS[kind]).rglob(f"*.{suffix}")).splitlines()
    lines = [line for block in BLOCKS if block.language == kind for line in block.text.splitlines()]
    assert lines
    assert [line for line in lines if line not in sources] == []


def test_the_lines_of_the_shell_work(serving: Server, asking: Calls) -> None:
    """Both lines of curl, with the address of this server, answer with what is there."""
    asking.create_model("churn")
    asking.create_version("churn")
    asking.set_stage("churn", 1, 3)
    program("curl", packages=("curl",))
    [script] = [block.text for block in BLOCKS if block.language == "sh" and block.text.startswith("curl")]
    script = script.replace("http://127.0.0.1:8080/", serving.dashboard).replace("curl ", "curl --silent --fail ")
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"name":') == 2


@pytest.mark.parametrize("document", [GUIDE, "README.md"])
def test_each_line_of_grpcurl_calls_a_method_that_is_served(document: str) -> None:
    """The methods and the fields in the lines of grpcurl are those of the contract."""
    shown = "".join(block.text for block in blocks(document) if block.language == "sh")
    called = re.findall(r"-d '([^']*)'[ \\\n]+\S+ tallymark\.v1\.(\w+)/(\w+)", shown)
    assert len(called) == shown.count("grpcurl ") > 0
    for body, service, method in called:
        found = [module.DESCRIPTOR.services_by_name.get(service) for module in (model_registry_pb2, event_log_pb2)]
        (descriptor,) = [service for service in found if service is not None]
        message = GetMessageClass(descriptor.methods_by_name[method].input_type)()
        assert ParseDict(json.loads(body), message).ByteSize() > 0


def test_each_filter_and_each_order_of_the_guide_is_read(serving: Server, asking: Calls) -> None:
    """A version for which each filter of the guide is true is listed by each, and each order is accepted."""
    [filters, orders] = [block.text.splitlines() for block in BLOCKS if block.chapter == "Filters and orders"]
    with Client(serving.address, actor="ana") as client:
        client.create_model("filters")
        facts = {"auc": 0.95, "depth": None}
        client.create_version("filters", "rc-1", tags=["growth"], metadata=facts)
        client.set_stage("filters/1", "production")
        client.set_alias("filters/1", "champion")
    parent = f"{PROJECT}/models/filters"
    for text in filters:
        page = asking.models.ListModelVersions(ListModelVersionsRequest(parent=parent, filter=text))
        assert [version.number for version in page.model_versions] == [1], text
    for text in orders:
        page = asking.models.ListModelVersions(ListModelVersionsRequest(parent=parent, order_by=text))
        assert len(page.model_versions) == 1, text


def test_each_reference_of_the_guide_means_what_it_says(serving: Server) -> None:
    """The short form of each reference, with its own model and number, finds the version."""
    shown = re.findall(r"^\| `[^|]*\| `(churn[^`]*)` \|", chapter(GUIDE, "Resource names"), re.MULTILINE)
    assert len(shown) == 5
    with Client(serving.address) as client:
        client.create_model("references")
        for _ in range(40):
            client.create_version("references")
        client.create_version("references", "1.0.5")
        client.set_stage("references/41", "production")
        client.set_alias("references/41", "champion")
        for reference in shown:
            assert client.get_version(reference.replace("churn", "references")).number == 41, reference


def test_the_guide_has_an_entry_for_each_reason() -> None:
    """A link to a reason in lower case leads to its row, and each is a class of `tallymark.errors` by that name."""
    names = {name.removeprefix("ERROR_REASON_") for name, number in ErrorReason.items() if number}
    assert {name.lower() for name in names} <= anchors(GUIDE)
    assert all(issubclass(getattr(errors, name.title().replace("_", "")), errors.TallymarkError) for name in names)


def test_the_guide_has_the_limit_of_calls_of_a_connection() -> None:
    """The number of concurrent calls of a connection in the guide is the one that the server announces."""
    assert f"at most {dict(OPTIONS)['grpc.max_concurrent_streams']} calls" in chapter(GUIDE, "Connections and limits")
