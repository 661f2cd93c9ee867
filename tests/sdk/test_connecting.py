"""Connecting to the service, and the errors while it is unreachable."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from tallymark import AsyncClient, Client, Model, configure, errors, settings
from tallymark.client.channel import raise_for
from tallymark.client.headers import Headers
from tallymark.client.statuses import leaves
from tallymark.settings import adjusted
from tallymark.testing import Server
from tallymark.v1.error_pb2 import ErrorReason

CLOSED = "127.0.0.1:1"


@pytest.fixture(autouse=True)
def unconfigured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the settings of the process in each test."""
    monkeypatch.setattr(settings, "_arguments", {})
    for name in ("URL", "PROJECT", "MODE", "TIMEOUT", "ACTOR"):
        monkeypatch.delenv(f"TALLYMARK_{name}", raising=False)


def test_the_error_for_an_unreachable_server_is_one_sentence() -> None:
    """It has the address, what to check, and the setting, and is raised within the deadline."""
    for version in (None, "production"):
        configure(url=CLOSED, timeout=0.3)
        with pytest.raises(errors.Unavailable) as caught:
            _ = Model("churn", version).number
        assert "\n" not in str(caught.value)
        for word in (CLOSED, "tallymark serve", "TALLYMARK_URL"):
            assert word in str(caught.value)


async def test_the_asyncio_client_raises_the_same_error() -> None:
    """The asyncio client raises the same error for an unreachable server."""
    async with AsyncClient(CLOSED, timeout=0.3) as client:
        with pytest.raises(errors.Unavailable, match="TALLYMARK_URL"):
            await client.get_model("churn")


async def test_waiting_for_a_server_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """During the first call, one line in the log soon has the address and what to do."""
    with pytest.raises(errors.Unavailable):
        Client(CLOSED, timeout=2.5).get_model("churn")
    async with AsyncClient(CLOSED, timeout=2.5) as client:
        with pytest.raises(errors.Unavailable):
            await asyncio.gather(client.get_model("churn"), client.get_model("fraud"))
    told = [record for record in caplog.records if record.name.startswith("tallymark")]
    assert [record.levelname for record in told] == ["WARNING"] * 2
    for record in told:
        assert "\n" not in record.getMessage()
        for word in (CLOSED, "2.5 s", "tallymark serve", "TALLYMARK_URL"):
            assert word in record.getMessage()


def test_a_call_to_a_running_server_logs_nothing(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """That includes calls that the server refuses."""
    with Client(server.address) as client:
        with pytest.raises(errors.ModelNotFound):
            client.get_model("churn")
        client.create_model("churn")
    assert [record for record in caplog.records if record.name.startswith("tallymark")] == []
    timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    assert all(timer.finished.is_set() for timer in timers)


async def test_a_watch_of_an_unreachable_server_raises() -> None:
    """A watch waits for a server that stops, but not for one that was never reached."""
    with pytest.raises(errors.Unavailable, match=CLOSED):
        next(Client(CLOSED, timeout=0.3).watch())
    async with AsyncClient(CLOSED, timeout=0.3) as client:
        with pytest.raises(errors.Unavailable, match=CLOSED):
            await anext(client.watch(0, model="churn"))


def test_an_unknown_host_is_an_unreachable_server() -> None:
    """An address that cannot be resolved raises the same error."""
    with pytest.raises(errors.Unavailable, match=r"no\.such\.host\.invalid:50051"):
        Client("no.such.host.invalid:50051", timeout=1).get_model("churn")


def test_a_call_waits_for_a_server_that_restarts(server: Server) -> None:
    """A call while the server is down succeeds when it is up again, within the call's deadline."""
    client = Client(server.address)
    client.create_model("churn")
    server.stop()
    starting = threading.Thread(target=server.start)
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(client.create_version("churn").number))
    asking.start()
    starting.start()
    starting.join()
    asking.join(30)
    assert answers == [1]


@pytest.mark.parametrize(
    "url",
    ["http://localhost:50051", "localhost", "localhost:", ":50051", "localhost:http", "localhost:0", "localhost:99999",
     "::1:50051", "local host:50051", "localhost :50051", "local\thost:50051", "localhost:５００５１", " "],
)  # fmt: skip
def test_an_invalid_address_is_refused_before_any_call(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """The error has the origin of the address, and an example of HOST:PORT."""
    with pytest.raises(errors.InvalidSetting, match=r"configure\(url=.*HOST:PORT, such as 127.0.0.1:50051"):
        configure(url=url)
    monkeypatch.setenv("TALLYMARK_URL", url)
    with pytest.raises(errors.InvalidSetting, match="TALLYMARK_URL"):
        _ = Model("churn").number


def test_spaces_around_an_address_are_ignored(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """That is so for every setting from which an address is read."""
    padded = f"  {server.address}\n"
    assert Client(padded).newest_revision() == 0
    configure(url=padded)
    assert adjusted().url == server.address
    monkeypatch.setattr(settings, "_arguments", {})
    monkeypatch.setenv("TALLYMARK_URL", padded)
    assert adjusted().url == server.address
    monkeypatch.delenv("TALLYMARK_URL")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "tallymark").mkdir()
    file = tmp_path / "tallymark" / "config.toml"
    file.write_text(f'context = "work"\n[contexts.work]\nurl = " {server.address} "\n')
    assert adjusted().url == server.address
    tallymark = Path(sys.executable).with_name("tallymark")
    subprocess.run([tallymark, "--url", padded, "model", "list"], check=True)
    subprocess.run([tallymark, "context", "add", "lab", "--url", padded], check=True, capture_output=True)
    assert f'url = "{server.address}"' in file.read_text().splitlines()


@pytest.mark.parametrize("actor", ["x" * 256, "ana\n", " ana", "a\u200bna"])
def test_an_invalid_actor_is_refused_before_any_call(monkeypatch: pytest.MonkeyPatch, actor: str) -> None:
    """The error for a name that is too long for a header, or invisible, has the origin of the name."""
    with pytest.raises(errors.InvalidSetting, match=r"configure\(actor=\.\.\.\) is .* at most 255 characters"):
        configure(actor=actor)
    monkeypatch.setenv("TALLYMARK_ACTOR", actor)
    with pytest.raises(errors.InvalidSetting, match="TALLYMARK_ACTOR"):
        Client()


@pytest.mark.parametrize(
    ("name", "value"), [("TIMEOUT", "soon"), ("TIMEOUT", "-1"), ("MODE", "off"), ("PROJECT", "a/b")]
)
def test_an_invalid_setting_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """The error names the variable and its value."""
    monkeypatch.setenv(f"TALLYMARK_{name}", value)
    with pytest.raises(errors.InvalidSetting, match=f"TALLYMARK_{name} is '{value}'"):
        Client()


def test_an_argument_wins_over_configure_and_configure_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings come from arguments, then configure, then the environment, then defaults."""
    assert (adjusted().url, adjusted().project, adjusted().mode) == ("127.0.0.1:50051", "default", "online")
    monkeypatch.setenv("TALLYMARK_URL", "env:1")
    monkeypatch.setenv("TALLYMARK_PROJECT", "env")
    assert adjusted().url == "env:1"
    configure(url="configured:2")
    assert (adjusted().url, adjusted().project) == ("configured:2", "env")
    assert adjusted(url="[::1]:3").url == "[::1]:3"


def test_the_actor_is_sent_in_ascii() -> None:
    """Any name can be sent in the header; the default is the user at the machine."""
    assert Headers(adjusted(actor="Zoë Ω@lab")).pairs() == (("tallymark-actor", "Zo%C3%AB %CE%A9@lab"),)
    assert "@" in adjusted().actor


def test_an_unknown_project_is_an_error(server: Server) -> None:
    """The error says how to create the project."""
    with pytest.raises(errors.ProjectNotFound, match="tallymark project create"):
        Client(server.address, project="other").create_model("churn")


def failed(code: grpc.StatusCode, reason: str = "", domain: str = "tallymark.dev") -> Any:
    """A failed call as gRPC raises it."""
    status = Status(code=code.value[0])
    status.details.add().Pack(ErrorInfo(reason=reason, domain=domain, metadata={"number": "7"}))

    class Failed(grpc.RpcError):
        def code(self) -> grpc.StatusCode:
            return code

        def details(self) -> str:
            return "what went wrong"

        def trailing_metadata(self) -> Any:
            return (("grpc-status-details-bin", status.SerializeToString()),)

    return Failed()


@pytest.mark.parametrize("name", ErrorReason.keys()[1:])
def test_every_reason_has_an_error_class(name: str) -> None:
    """For each reason of the contract, there is one class, with reason, code, message and metadata."""
    reason = name.removeprefix("ERROR_REASON_")
    (kind,) = [kind for kind in leaves() if kind.reason == reason]
    with pytest.raises(kind, match="what went wrong") as caught:
        raise_for(failed(grpc.StatusCode.NOT_FOUND, reason), adjusted(), 1)
    assert (caught.value.code, caught.value.metadata) == ("NOT_FOUND", {"number": "7"})
    again = caught.value.__reduce__()
    assert repr(again[0](*again[1])) == repr(caught.value)  # type: ignore[operator,misc]  # errors are reduced to a tuple, as pickle wants it


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, errors.InvalidArgument),
        (grpc.StatusCode.NOT_FOUND, errors.NotFound),
        (grpc.StatusCode.ALREADY_EXISTS, errors.AlreadyExists),
        (grpc.StatusCode.FAILED_PRECONDITION, errors.Refused),
        (grpc.StatusCode.ABORTED, errors.Conflict),
        (grpc.StatusCode.OUT_OF_RANGE, errors.OutOfRange),
        (grpc.StatusCode.UNAVAILABLE, errors.Unavailable),
        (grpc.StatusCode.UNAUTHENTICATED, errors.Unauthenticated),
        (grpc.StatusCode.PERMISSION_DENIED, errors.Forbidden),
        (grpc.StatusCode.DATA_LOSS, errors.DataLoss),
        (grpc.StatusCode.INTERNAL, errors.Internal),
        (grpc.StatusCode.UNKNOWN, errors.TallymarkError),
    ],
)
def test_an_unknown_reason_is_the_error_of_its_code(code: grpc.StatusCode, kind: type[errors.TallymarkError]) -> None:
    """An error from a later service, or from a proxy, raises the class of its status code."""
    for reason, domain in (("FROM_THE_FUTURE", "tallymark.dev"), ("MODEL_NOT_FOUND", "elsewhere.example")):
        with pytest.raises(errors.TallymarkError) as caught:
            raise_for(failed(code, reason, domain), adjusted(), 1)
        assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("domain", "kind"), [("tallymark.dev", errors.ResourceExhausted), ("elsewhere.example", errors.TallymarkError)]
)
def test_only_the_service_says_what_is_exhausted(domain: str, kind: type[errors.TallymarkError]) -> None:
    """RESOURCE_EXHAUSTED of the service is a limit, and of gRPC a message that is too large, however often sent."""
    with pytest.raises(errors.TallymarkError) as caught:
        raise_for(failed(grpc.StatusCode.RESOURCE_EXHAUSTED, "FROM_THE_FUTURE", domain), adjusted(), 1)
    assert type(caught.value) is kind


def test_the_fixture_without_pytest_says_what_to_install() -> None:
    """`import tallymark.testing` without pytest raises an error that says what to install."""
    code = "import sys; sys.modules['pytest'] = None; import tallymark.testing"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    said = "ModuleNotFoundError: tallymark.testing needs pytest: pip install pytest"
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, said)
    assert "During handling" not in done.stderr


def test_import_and_decorators_load_no_heavy_module() -> None:
    """`import tallymark` and decorating load neither grpc, protobuf, asyncio, click nor the service."""
    code = (
        "import sys; before = set(sys.modules)\n"
        "import tallymark\n"
        "model = tallymark.Model('churn')\n"
        "names = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "heavy = names & {'grpc', 'google', 'asyncio', 'click', 'tallymark_server', 'dataclasses', 'inspect'}\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
