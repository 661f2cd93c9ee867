"""The house rules: promises about the code itself, which no reader should have to check."""

import ast
import inspect
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

import tallymark
from tallymark import errors as sdk_errors
from tallymark.errors import TallymarkError
from tallymark.v1.error_pb2 import ErrorReason
from tallymark_server.domain import errors as domain_errors
from tallymark_server.domain.errors import RegistryError
from tallymark_server.rpc.status import code_of

ROOT = Path(__file__).parents[1]
STUBS = ROOT / "sdk/tallymark/v1"
# Counted in statements, so that nobody packs two into a line, or splits what belongs together, for the sake of a rule.
MAX_MODULE = 270
MAX_FUNCTION = 30
MAX_RECIPE = 8

# What may be larger than the house allows, and why. An entry that is no longer needed must go.
LARGER: dict[str, str] = {
    "service/tallymark_server/domain/errors.py": "one list of every refusal, in the order of their branches",
    "sdk/tallymark/delivery/delivery.py": "one class holds the place in the journal; halves would share it",
    "tests/domain/history.py:load": "one branch for each kind of key that a command declares",
    "tests/importers/mlflow_releases.py:fill": "a script that fills another registry, one call after the other",
    "tests/journeys/test_reference_defects.py:test_promotion_is_decided_in_one_line": "one race, from start to end",
    "tests/sdk/test_recorded_types.py:test_an_invalid_record_does_not_affect_others": "one run with every wrong record",
}

# Names that say nothing of what a module is about, so that everything ends up in it.
EMPTY_NAMES = {"base", "common", "core", "helper", "helpers", "manager", "misc", "shared", "util", "utils"}

# Words that have a home: the folders, the pattern, and the only files or folders that may have it.
HOMES = {
    "SQL": (
        ["sdk", "service"],
        r"""["'(\s](SELECT|INSERT INTO|UPDATE \w+ SET|DELETE FROM|CREATE (TABLE|INDEX)|PRAGMA|BEGIN IMMEDIATE)\s""",
        # The importers read the tables of other registries; these are not part of our storage.
        ["service/tallymark_server/storage/", "service/tallymark_server/importers/"],
    ),
    "opening a database": (
        ["sdk", "service"],
        r"sqlite3?\.connect\(",
        [
            f"service/tallymark_server/{module}.py"
            for module in ("importers/source_file", "storage/sqlite/connection", "storage/sqlite/verification")
        ],
    ),
    "status codes": (["service"], r"(?<!trace\.)\bStatusCode\b", ["service/tallymark_server/rpc/status.py"]),
    "messages of the service": (["service"], r"\b\w+_pb2", ["service/tallymark_server/rpc/"]),
    "messages of the SDK": (
        ["sdk"],
        r"\b\w+_pb2",
        ["sdk/tallymark/client/"],
    ),
}
# What an interpreter has imported says nothing certain of a program: whoever needs a library imports it.
FORBIDDEN = r"\bsys\.modules\b"

# The packages that begin with a map of their modules: of the SDK, all.
MAPPED = [
    *(
        f"service/tallymark_server{room}"
        for room in ("", "/importers", "/storage/log", "/storage/postgres", "/storage/sql", "/storage/sqlite", "/web")
    ),
    *sorted(
        path.parent.relative_to(ROOT).as_posix()
        for path in (ROOT / "sdk/tallymark").rglob("__init__.py")
        if path.parent != STUBS
    ),
]

# The topmost folder has these and the dot-folders, and nothing else.
TOP = {"LICENSE", "Makefile", "README.md", "docs", "protos", "pyproject.toml", "sdk", "service", "tests"}

# Where an ignore needs no reason: it is what the line tests, since mypy reports one that it does not need.
TESTED_IGNORES = {"tests/typing/api.py"}


def python_files(*folders: str) -> list[Path]:
    """The modules that people write, in order."""
    found = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return sorted(path for path in found if STUBS not in path.parents)


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    """Return a module's syntax, parsed once for all rules."""
    return ast.parse(path.read_text())


def blocks(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements in a node, and in those, without walking through their expressions."""
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        for inner in getattr(node, field, ()):
            yield inner
            yield from blocks(inner)


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in blocks(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def statements(node: ast.AST) -> int:
    """Return how many statements are in a module or a function; docstrings are not counted."""
    found = [inner for inner in blocks(node) if isinstance(inner, ast.stmt)]
    return sum(not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant)) for each in found)


def test_modules_and_functions_are_small() -> None:
    """A module has at most 270 statements and a function 30, unless `LARGER` gives a reason for it."""
    larger = set()
    for path in python_files("sdk", "service", "protos", "docs", "tests"):
        if statements(tree(path)) > MAX_MODULE:
            larger.add(place(path))
        larger |= {f"{place(path)}:{found.name}" for found in functions(path) if statements(found) > MAX_FUNCTION}
    assert larger == LARGER.keys()


def test_modules_are_named_by_what_they_are_about() -> None:
    """No module or folder has a name that fits anything."""
    paths = python_files("sdk", "service", "protos", "docs", "tests")
    assert {path for path in map(place, paths) if EMPTY_NAMES & set(re.split(r"[/._]", path))} == set()


@pytest.mark.parametrize("room", MAPPED)
def test_the_map_of_a_room_shows_everything_in_it(room: str) -> None:
    """The docstring of a package lists all of its modules, so that a stranger finds each."""
    package = ROOT / room
    map_ = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    names = {path.stem for path in package.iterdir() if path.suffix == ".py" or path.is_dir()}
    names = {name for name in names if not name.startswith("__")}
    assert names
    assert {name for name in names if not re.search(rf"^{name}\b|`{name}`", map_, re.MULTILINE)} == set()


@pytest.mark.parametrize("what", HOMES)
def test_what_has_a_home_is_found_nowhere_else(what: str) -> None:
    """SQL, status codes and messages each have one place in the code."""
    folders, pattern, homes = HOMES[what]
    found = {place(path) for path in python_files(*folders) if re.search(pattern, path.read_text())}
    assert {path for path in found if not path.startswith(tuple(homes))} == set()
    assert {home for home in homes if not any(path.startswith(home) for path in found)} == set(), "no longer a home"


def test_nothing_depends_on_what_happens_to_be_imported() -> None:
    """Neither the SDK nor the service looks into `sys.modules`."""
    assert {place(path) for path in python_files("sdk", "service") if re.search(FORBIDDEN, path.read_text())} == set()


def test_the_domain_needs_the_standard_library_and_records() -> None:
    """The domain imports only the standard library, msgspec and tables of precis_i18n, so that it is tested alone."""
    outside = set()
    for path in python_files("service/tallymark_server/domain"):
        for node in ast.walk(tree(path)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or "."] if isinstance(node, ast.ImportFrom) else []
            outside |= {name for name in names if name.split(".")[0] not in sys.stdlib_module_names}
    outside -= {"msgspec", "msgspec.structs", "precis_i18n.baseclass", "precis_i18n.unicode"}
    assert {name for name in outside if not name.startswith("tallymark_server.domain")} == set()
    assert outside, "the domain's modules import each other, so this must have seen them"


def test_the_sdk_knows_four_doors_of_the_service() -> None:
    """The command line imports four modules of the service: for serving, for files, for access and for imports."""
    texts = [path.read_text() for path in python_files("sdk")]
    named = {name for text in texts for name in re.findall(r"[\"'](tallymark_server\.\w[\w.]*)[\"']", text)}
    doors = ("serve_command", "offline_commands", "access_commands", "import_commands")
    assert named == {f"tallymark_server.{door}" for door in doors}


def test_every_test_states_its_promise() -> None:
    """The docstring of each test says what is promised, as a sentence."""
    tests = [(place(path), found) for path in python_files("tests") for found in functions(path)]
    promises = {
        f"{where}:{test.name}": ast.get_docstring(test) for where, test in tests if test.name.startswith("test_")
    }
    assert promises
    assert {test for test, promise in promises.items() if not promise or not promise.endswith(".")} == set()


def test_no_test_sleeps() -> None:
    """Tests wait for what they need, so that they are neither slow nor lucky; sleep(0) only lets others run.

    A bench is no test, and imitates those who pause.
    """
    sleeping = set()
    for path in python_files("tests"):
        if place(path).startswith("tests/bench/"):
            continue
        for node in ast.walk(tree(path)):
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func).endswith("sleep")
                and ast.unparse(node)
                not in {
                    "asyncio.sleep(0)",
                    "sleep(0)",
                }
            ):
                sleeping.add(f"{place(path)}:{node.lineno}")
    assert sleeping == set()


def test_every_ignore_says_its_reason() -> None:
    """Where a check is switched off, the line says why; an assertion says it in its message."""
    lines = {
        f"{place(path)}:{number}": line
        for path in python_files(".ci", "sdk", "service", "protos", "docs", "tests")
        if path != Path(__file__) and place(path) not in TESTED_IGNORES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"# (noqa|type: ignore)", line)
    }
    assert lines
    reason = re.compile(r"# noqa.* - \w|# type: ignore\[[^]]+\] +# (?!noqa)\w|assert .*, f?\"")
    assert {where for where, line in lines.items() if not reason.search(line)} == set()


def test_every_part_of_the_contract_is_described_in_the_stubs() -> None:
    """The comments of the contract are the reference of the API, and none is missing from it."""
    stubs = list(STUBS.glob("*_pb2_grpc.py"))
    assert stubs
    assert [stub.name for stub in stubs if "Missing associated documentation comment" in stub.read_text()] == []


def test_the_contract_fits_the_width_of_the_code() -> None:
    """No line of the contract, whose comments are prose to be read, is longer than the formatter lets code be."""
    width = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["line-length"]
    contract = [(place(path), path.read_text().splitlines()) for path in (ROOT / "protos/tallymark").rglob("*.proto")]
    assert contract
    longer = [
        f"{where}:{number}" for where, lines in contract for number, line in enumerate(lines, 1) if len(line) > width
    ]
    assert longer == []


def leaves(module: ModuleType, root: type[RegistryError | TallymarkError]) -> dict[str, list[tuple[str, str]]]:
    """Return the error classes of the module by their reason, each with its branch."""
    found: dict[str, list[tuple[str, str]]] = {}
    for kind in vars(module).values():
        if isinstance(kind, type) and issubclass(kind, root) and vars(kind).get("reason"):
            assert kind.__base__
            found.setdefault(kind.reason, []).append((kind.__name__, kind.__base__.__name__))
    return found


SERVICE_ERRORS = leaves(domain_errors, RegistryError)


def test_every_reason_of_the_contract_is_one_error_of_the_service() -> None:
    """Each reason is raised as one class, and no class has a reason that the contract does not know."""
    reasons = {name.removeprefix("ERROR_REASON_") for name, number in ErrorReason.items() if number}
    assert {reason: len(kinds) for reason, kinds in SERVICE_ERRORS.items()} == dict.fromkeys(reasons, 1)


def test_what_the_service_raises_the_sdk_raises() -> None:
    """An error has one name and one place in the tree on both sides of the wire."""
    assert leaves(sdk_errors, TallymarkError) == SERVICE_ERRORS


def promised(reason: str) -> tuple[str, set[str]]:
    """Return the status code and the keys that the comment in the contract promises for the reason."""
    contract = (ROOT / "protos/tallymark/v1/error.proto").read_text()
    found = re.search(rf"((?:  //.*\n)+)  ERROR_REASON_{reason} =", contract)
    assert found
    text = re.sub(r"\s*//\s*", " ", found.group(1)).strip()
    code, _, rest = text.partition(".")
    _, _, keys = rest.partition("Keys:")
    return code, set(re.findall(r"\w+", keys))


@pytest.mark.parametrize("reason", sorted(SERVICE_ERRORS))
def test_an_error_is_what_the_contract_says_of_it(reason: str) -> None:
    """The status code and the metadata keys of each error are those in the comment of its reason."""
    kind = getattr(domain_errors, SERVICE_ERRORS[reason][0][0])
    arguments = inspect.signature(kind, eval_str=True).parameters.values()
    error = kind(**{each.name: 7 if each.annotation is int else each.name for each in arguments})
    assert isinstance(error, RegistryError)
    assert (code_of(error).name, set(error.metadata)) == promised(reason)


def test_the_public_door_is_in_order() -> None:
    """`tallymark.__all__` is sorted, and each name in it exists and has a docstring."""
    names = tallymark.__all__
    assert names == sorted(names)
    undescribed = {
        name for name in names if callable(getattr(tallymark, name)) and not getattr(tallymark, name).__doc__
    }
    assert undescribed == set()


def recipes() -> dict[str, list[str]]:
    """The lines of each command of the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    found = re.findall(r"^([\w-]+):.*\n((?:\t.*\n)*)", makefile, re.MULTILINE)
    return {target: body.splitlines() for target, body in found}


def test_make_tells_every_command() -> None:
    """`make` alone prints each command of the Makefile and what it does."""
    told = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^  make ([\w-]+) +\S", told, re.MULTILINE) == list(recipes())


def test_commands_are_short() -> None:
    """A command of the Makefile can be read at a glance; what is longer is a program of its own."""
    assert recipes()
    assert {target for target, body in recipes().items() if len(body) > MAX_RECIPE} == set()


def test_every_command_runs_though_a_file_has_its_name() -> None:
    """Each command is declared phony: a folder called `protos` or `demo` does not stop it."""
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony
    assert set(phony.group(1).split()) == recipes().keys()


def test_the_commands_that_are_promised_are_there() -> None:
    """Help, setup, demo, serve, test, check, bench and protos, whatever else comes."""
    assert {"help", "setup", "demo", "serve", "test", "check", "bench", "protos"} <= recipes().keys()


@pytest.mark.parametrize(
    "step",
    [
        "ruff format --check",
        "ruff check",
        "mypy",
        "lint-imports",
        "buf lint",
        "breaking.py",
        "generate.py --check",
        "reasons.py --check",
        "methods.py --check",
        "codespell",
        "wording.py",
        "hadolint",
        "zizmor",
        "lock.py --check",
        "bench.report --check",
        "sphinx-build",
    ],
)
def test_check_checks(step: str) -> None:
    """`make check` covers code, layers, the contract, generated files, spelling, workflows, pins, figures and docs."""
    [goals] = re.findall(r"^check: ([\w -]+) ##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert any(step in line for goal in goals.split() for line in recipes()[goal])


def test_ci_runs_both_commands() -> None:
    """`.ci/run` runs the tests and the checks, and stops at the first that fails."""
    script = (ROOT / ".ci/run").read_text()
    assert "set -euo pipefail" in script
    assert "for goal in test check" in script


def test_the_topmost_folder_shows_the_architecture() -> None:
    """Nothing is kept there but the parts of the house: what a command leaves behind is not."""
    kept = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert {name for name in (path.partition("/")[0] for path in kept) if not name.startswith(".")} == TOP


def test_the_last_release_is_kept() -> None:
    """There is a release with which the contract is compared."""
    assert list((ROOT / "protos/released").glob("*.binpb"))


def test_the_licence_is_apache() -> None:
    """The licence file is that of the licence which the package names."""
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"] == "Apache-2.0"
