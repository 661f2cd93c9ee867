"""What goes wrong in the registry that we were compared with, and does not here: a promise for each of its defects."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from click.testing import CliRunner

from tallymark import Client, Model, ModelVersion, NewVersion, current_model, pipeline
from tallymark.cli import main
from tallymark.errors import (
    InvalidArgument,
    ModelNotFound,
    NotFound,
    ReservedName,
    StageEmpty,
    StageOccupied,
    TallymarkError,
    VersionNotFound,
)
from tallymark.testing import Server


@pytest.fixture
def client(registry_env: Server) -> Client:
    return Client()


def test_a_number_is_not_reused_after_its_version_is_deleted(client: Client) -> None:
    """Neither after the last version is deleted or purged, nor after the model is made anew."""
    client.create_model("m")
    client.create_versions("m", [NewVersion()] * 3)
    client.delete_version("m/3")
    assert client.create_version("m").number == 4
    client.delete_version("m/4")
    client.purge_version("m/4")
    assert client.create_version("m").number == 5
    client.delete_model("m")
    client.purge_model("m")
    client.create_model("m")
    assert client.create_version("m").number == 6


@pytest.mark.parametrize("name", ["3", "77", "½", "²", "３", "production", "Latest", "none", ""])
def test_a_rename_cannot_block_the_line(client: Client, name: str) -> None:
    """A version cannot be called by a number or a stage, so that the next number is always free."""
    client.create_model("m")
    client.create_version("m", "a")
    if name in ("", "½"):
        client.update_version("m/1", name=name)
    else:
        with pytest.raises(ReservedName):
            client.update_version("m/1", name=name)
    assert client.create_version("m").number == 2


def test_a_model_is_found_by_its_whole_name(client: Client) -> None:
    """With only `m1` there, `m` is another model: asking makes it, and `m1` gets nothing."""
    client.create_model("m1")
    assert Model("m").number == 1
    assert client.get_model("m1").last_number == 0
    assert {model.name for model in client.list_models()} == {"m", "m1"}


def test_digits_always_mean_a_number(client: Client) -> None:
    """`version="2"` is number 2 inside a run and outside, though that version has another name."""
    client.create_model("m")
    client.create_versions("m", [NewVersion("a"), NewVersion("b")])

    @pipeline(model=Model("m", "2"))
    def inside() -> str:
        return current_model().version_name

    assert inside() == Model("m", "2").version_name == Model("m", 2).version_name == "b"
    with pytest.raises(VersionNotFound):
        _ = Model("m", "3").number


def test_promotion_is_decided_in_one_line(client: Client) -> None:
    """64 concurrent promotions leave one holder; each refusal names it; the log has each transition with its reason."""
    client.create_model("m")
    client.create_versions("m", [NewVersion()] * 64)

    def promote(number: int) -> str:
        try:
            Client().set_stage(f"m/{number}", "production", reason=f"try {number}")
        except StageOccupied as error:
            return error.metadata["number"]
        return "won"

    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(promote, range(1, 65)))
    (winner,) = [number for number, outcome in enumerate(outcomes, 1) if outcome == "won"]
    assert client.get_version("m@production").number == winner
    assert set(outcomes) == {"won", str(winner)}

    def force(number: int) -> None:
        Client(actor=f"who-{number}").set_stage(f"m/{number}", "production", force=True, reason=f"because {number}")

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(force, range(1, 65)))
    assert len(list(client.list_versions("m", filter="stage = production"))) == 1
    moves = list(client.history("m", kinds=["stage_changed"]))[::-1]
    holder = 0
    for move in moves:
        version = move.resource
        assert isinstance(version, ModelVersion)
        if version.stage == "production":
            assert holder == 0
            holder = version.number
            assert move.reason in (f"because {holder}", f"try {holder}")
            assert move.actor == f"who-{holder}" or move.reason.startswith("try")
        else:
            assert (version.stage, version.number, move.previous_stage) == ("archived", holder, "production")
            holder = 0
    assert client.get_version("m@production").number == holder
    assert [move.time for move in moves] == sorted(move.time for move in moves)


def test_a_rollback_is_one_command(client: Client) -> None:
    """A rollback brings back the version that was in production before, as the log has it."""
    client.create_model("m")
    client.create_versions("m", [NewVersion()] * 2)
    for number in (1, 2):
        client.set_stage(f"m/{number}", "production", force=True)
    assert CliRunner().invoke(main, ["version", "rollback", "m", "--yes"]).exit_code == 0
    assert client.get_version("m@production").number == 1


def test_the_archive_holds_any_number(client: Client) -> None:
    """Archived and no stage are not exclusive."""
    client.create_model("m")
    client.create_versions("m", [NewVersion()] * 3)
    for number in (1, 2, 3):
        client.set_stage(f"m/{number}", "archived")
    assert len(list(client.list_versions("m", filter="stage = archived"))) == 3
    for number in (1, 2):
        client.set_stage(f"m/{number}", "none")


def test_latest_is_computed(client: Client) -> None:
    """Nobody can put a version into `latest`, nor give an alias that name."""
    client.create_model("m")
    client.create_version("m")
    with pytest.raises(InvalidArgument):
        client.set_stage("m/1", "latest")
    for name in ("latest", "production", "LATEST"):
        with pytest.raises(ReservedName):
            client.set_alias("m/1", name)


@pytest.mark.parametrize("version", ["Production", "production", "7", "@nobody", "a/b", "{unknown}"])
def test_a_refused_run_leaves_nothing(client: Client, version: str) -> None:
    """Neither a run that seems to go on, nor a model, nor an event."""

    @pipeline(model=Model("m", version))
    def training() -> None: ...

    with pytest.raises(TallymarkError):
        training()
    assert list(client.list_runs()) == []
    assert list(client.list_events()) == []


def test_operators_are_no_part_of_names(client: Client) -> None:
    """What looks like an operator in a name is a name: it finds nothing else, and is refused where names are made."""
    client.create_model("m1")
    client.create_version("m1", "1.0")
    for reference in ("m1==contains:.", "m1==startswith:1", "m1==oneof:['1.0']", "m1==*"):
        with pytest.raises((NotFound, InvalidArgument)):
            client.get_version(reference)
    with pytest.raises(ModelNotFound):
        client.get_model("m*")


def test_a_failed_lookup_creates_nothing(client: Client) -> None:
    """Asking for a stage, an alias, latest or a number of a model that is not there does not make the model."""
    for version in ("latest", "production", "@champion", 5):
        with pytest.raises(NotFound):
            _ = Model("fresh", version).number
    assert list(client.list_models()) == []
    client.create_model("empty")
    with pytest.raises(StageEmpty):
        _ = Model("empty", "production").number
    assert client.get_model("empty").last_number == 0


def test_the_documented_templates_work(client: Client) -> None:
    """`{date}`, `{time}` and substitutions are filled in, the same for all of a run; an unknown one is an error."""

    @pipeline(model=Model("{kind}-model", "run-{date}-{time}"), substitutions={"kind": "nightly"})
    def training() -> tuple[str, str]:
        return current_model().version_name, current_model().version_name

    first, second = training()
    assert first == second
    assert client.get_version(f"nightly-model=={first}").number == 1
    with pytest.raises(InvalidArgument, match=r"\{date\}, \{time\}"):
        _ = Model("m", "run-{run.id}").number


def test_pages_are_no_offsets(client: Client) -> None:
    """While others write, no page repeats or misses a version; beyond the end is the end."""
    client.create_model("m")
    client.create_versions("m", [NewVersion()] * 1000)
    pages = client.list_versions("m")
    found = [next(pages).number for _ in range(500)]
    client.create_versions("m", [NewVersion()] * 100)
    client.delete_version("m/200")
    found += [version.number for version in pages]
    assert found == list(range(1000, 0, -1))
