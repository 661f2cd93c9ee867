"""The contract in protos/, its generated stubs, and the checks that compare them, which must be able to fail."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from tallymark.v1 import (
    access_pb2,
    artifact_pb2,
    error_pb2,
    event_log_pb2,
    event_pb2,
    lineage_pb2,
    metric_pb2,
    model_pb2,
    model_registry_pb2,
    project_pb2,
    role_pb2,
    run_pb2,
    run_registry_pb2,
)

ROOT = Path(__file__).parents[1]
GENERATOR = pytest.mark.skipif(find_spec("grpc_tools") is None, reason="the generator has no release for this Python")
STUB = Path("tallymark/v1/model_pb2.py")
PROTO = Path("tallymark/v1/model.proto")
FILES: list[FileDescriptor] = [
    module.DESCRIPTOR
    for module in (
        access_pb2,
        artifact_pb2,
        error_pb2,
        event_log_pb2,
        event_pb2,
        lineage_pb2,
        metric_pb2,
        model_pb2,
        model_registry_pb2,
        project_pb2,
        role_pb2,
        run_pb2,
        run_registry_pb2,
    )
]
READS = ("Export", "Get", "List", "Query", "Verify", "Watch")


def run(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "protos" / script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def sdk(tmp_path: Path) -> Path:
    """A copy of the generated stubs."""
    shutil.copytree(ROOT / "sdk" / STUB.parent, tmp_path / STUB.parent, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.fixture
def protos(tmp_path: Path) -> Path:
    """A copy of the contract, without releases."""
    copy = tmp_path / "protos"
    shutil.copytree(ROOT / "protos", copy, ignore=shutil.ignore_patterns("released", "*.py", "__pycache__"))
    return copy


def edit(proto: Path, old: str, new: str) -> None:
    text = proto.read_text()
    assert old in text
    proto.write_text(text.replace(old, new))


@GENERATOR
def test_the_stubs_match_the_contract(sdk: Path) -> None:
    """Generating the stubs again gives the files that are checked in."""
    found = run("generate.py", "--check", "--sdk", sdk)
    assert found.returncode == 0, found.stderr


@GENERATOR
def test_an_edited_a_missing_and_a_stale_stub_are_reported(sdk: Path) -> None:
    """The check lists each stub that does not match the contract, and the command that updates it."""
    (sdk / STUB).write_text("# edited by hand\n")
    (sdk / STUB.with_name("run_pb2.pyi")).unlink()
    (sdk / STUB.with_name("gone_pb2.py")).touch()
    found = run("generate.py", "--check", "--sdk", sdk)
    assert found.returncode == 1
    assert found.stderr.splitlines() == [
        "these stubs do not match the contract; run `make protos`:",
        "  sdk/tallymark/v1/gone_pb2.py",
        "  sdk/tallymark/v1/model_pb2.py",
        "  sdk/tallymark/v1/run_pb2.pyi",
    ]


@GENERATOR
def test_generating_updates_every_stub(sdk: Path) -> None:
    """After generating, the check succeeds, whichever stubs were edited, missing or stale before."""
    (sdk / STUB).write_text("# edited by hand\n")
    (sdk / STUB.with_name("run_pb2.pyi")).unlink()
    (sdk / STUB.with_name("gone_pb2.py")).touch()
    assert run("generate.py", "--sdk", sdk).stdout.endswith(" 3 changed\n")
    assert run("generate.py", "--check", "--sdk", sdk).returncode == 0


def test_the_reasons_of_the_guide_match_the_contract() -> None:
    """The table of errors in protos/README.md has each reason with its status, meaning and keys."""
    done = run("reasons.py", "--check")
    assert done.returncode == 0, done.stderr
    count = len(error_pb2.ErrorReason.values()) - 1
    assert done.stdout == f"the {count} reasons in protos/README.md match the contract\n"


def test_the_methods_of_the_guide_match_the_contract() -> None:
    """The table of methods in protos/README.md has each method with the role that its options name."""
    done = run("methods.py", "--check")
    assert done.returncode == 0, done.stderr
    methods = [method for file in FILES for service in file.services_by_name.values() for method in service.methods]
    assert done.stdout == f"the {len(methods)} methods in protos/README.md match the contract\n"


def test_a_method_without_a_role_is_found(tmp_path: Path) -> None:
    """The table cannot be written for a method whose options do not name a role."""
    protos = tmp_path / "protos"
    shutil.copytree(ROOT / "protos", protos)
    edit(protos / "tallymark/v1/run_registry.proto", "    option (needs) = ROLE_WRITER;\n", "")
    done = subprocess.run([sys.executable, protos / "methods.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "needs an option (needs)" in done.stderr


def test_an_edited_reason_is_found_and_corrected(tmp_path: Path) -> None:
    """`--check` fails when a row differs from the contract; without `--check` the row is corrected."""
    protos = tmp_path / "protos"
    shutil.copytree(ROOT / "protos", protos)
    guide, script = protos / "README.md", protos / "reasons.py"
    due = guide.read_text()
    guide.write_text(due.replace("| No such project. |", "| None. |"))
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "make protos" in done.stderr
    subprocess.run([sys.executable, script], capture_output=True, check=True)
    assert guide.read_text() == due


def test_without_a_release_every_change_is_allowed(protos: Path) -> None:
    """Before the first release the check accepts every change of the contract, and says why."""
    found = run("breaking.py", "--protos", protos)
    assert (found.returncode, found.stdout) == (0, "no release of the contract yet: nothing to compare with\n")


def test_a_new_field_is_compatible(protos: Path) -> None:
    """A contract with an additional field passes the check."""
    run("breaking.py", "--protos", protos, "--release", "0.1.0")
    edit(protos / PROTO, "int32 number = 2;", "int32 number = 2;\n  // New.\n  string colour = 99;")
    found = run("breaking.py", "--protos", protos)
    assert (found.returncode, found.stdout) == (0, "the contract is compatible with release 0.1.0\n")


@pytest.mark.parametrize(
    ("old", "new", "reported"),
    [
        ("int32 number = 2;", "int32 position = 2;", 'changed name from "number" to "position"'),
        ("int32 number = 2;", "", 'field "2" with name "number" on message "ModelVersion" was deleted'),
        ("int32 number = 2;", "string number = 2;", 'changed type from "int32" to "string"'),
        ("STAGE_ARCHIVED = 4;", "STAGE_ARCHIVED = 5;", 'enum value "4"'),
    ],
    ids=["renamed", "removed", "retyped", "renumbered"],
)
def test_an_incompatible_change_is_refused_by_name(protos: Path, old: str, new: str, reported: str) -> None:
    """The check fails for a change that breaks released clients, and names the change."""
    run("breaking.py", "--protos", protos, "--release", "0.1.0")
    edit(protos / PROTO, old, new)
    found = run("breaking.py", "--protos", protos)
    assert found.returncode == 1
    assert reported in found.stdout
    assert "break clients of release 0.1.0" in found.stderr


def test_the_last_release_is_the_highest_version(protos: Path) -> None:
    """The contract is compared with 0.10.0, not with 0.9.0, though 9 comes after 1 in the alphabet."""
    run("breaking.py", "--protos", protos, "--release", "0.9.0")
    edit(protos / PROTO, "int32 number = 2;", "int32 position = 2;")
    run("breaking.py", "--protos", protos, "--release", "0.10.0")
    found = run("breaking.py", "--protos", protos)
    assert (found.returncode, found.stdout) == (0, "the contract is compatible with release 0.10.0\n")


def test_a_release_never_changes(protos: Path) -> None:
    """A version is released once; releasing it again is refused and leaves its image as it was."""
    assert run("breaking.py", "--protos", protos, "--release", "0.1.0").returncode == 0
    image = protos / "released" / "0.1.0.binpb"
    released = image.read_bytes()
    edit(protos / PROTO, "int32 number = 2;", "int32 position = 2;")
    found = run("breaking.py", "--protos", protos, "--release", "0.1.0")
    assert found.returncode == 1
    assert "was released already" in found.stderr
    assert image.read_bytes() == released


def test_a_release_needs_a_version_of_three_numbers(protos: Path) -> None:
    """A release without a version such as 0.1.0 is refused."""
    found = run("breaking.py", "--protos", protos, "--release", "latest")
    assert (found.returncode, found.stderr) == (1, "'latest' is not a version such as 0.1.0\n")


def test_every_file_names_the_packages_of_generated_code() -> None:
    """Each file has options with the packages of its code in Go, Java and C#, so that generating needs no options."""
    assert {file.name for file in FILES} == {
        path.relative_to(ROOT / "protos").as_posix() for path in (ROOT / "protos/tallymark").rglob("*.proto")
    }
    for file in FILES:
        options = file.GetOptions()
        places = (options.go_package, options.java_package, options.java_multiple_files, options.csharp_namespace)
        assert places == ("tallymark.dev/go/tallymark/v1;tallymarkv1", "dev.tallymark.v1", True, "Tallymark.V1")
        # By default, error.proto would become a class `Error`, which hides that of Java.
        assert options.java_outer_classname == f"{Path(file.name).stem.title().replace('_', '')}Proto"


def test_only_reads_are_marked_as_free_of_side_effects() -> None:
    """Reads, and no other methods, have NO_SIDE_EFFECTS, so that clients may send them as GET and retry them."""
    methods = [method for file in FILES for service in file.services_by_name.values() for method in service.methods]
    for method in methods:
        free = method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
        assert free == method.name.startswith(READS), method.full_name
