"""Write the pages about the public names of the SDK; Sphinx fills them in from the docstrings.

A public name that is in no section is an error, so that the reference is complete.
"""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from types import ModuleType

import tallymark
from tallymark import errors, serving, testing

SECTIONS = {
    "Record runs": [
        *("pipeline", "step", "run", "RunContext", "Model", "Artifact"),
        *("log_metadata", "log_metric", "log_metrics", "current_model", "current_run", "bind", "Uri"),
    ],
    "Settings": ["configure"],
    "Clients": ["Client", "AsyncClient", "NewVersion"],
    "What the registry returns": [
        *("ModelVersion", "ModelInfo", "Run", "RunStep", "ArtifactInfo", "MetricPoint", "Lineage", "Event", "Project"),
        *("Heartbeat", "RecordingProblem", "Checkpoint", "Proof", "Problem"),
    ],
    "Enumerations": ["Stage", "RunState", "ArtifactRole", "ArtifactType", "Role"],
}
# Types of fields and results of the above, which users need not import.
NESTED_TYPES = {
    "tallymark.types.resources": ["VersionUse", "MetricChange", "LineageNode", "Erasure", "Ensured", "Started"],
    "tallymark.types.proofs": ["Erased"],
    "tallymark.client.access": ["Access"],
    "tallymark.client.aio_access": ["AsyncAccess"],
    "tallymark.types.access": ["Caller", "Token", "NewToken", "Grant", "ServiceAccount"],
    "tallymark.client.calls": ["WatchMessage", "ExportChunk", "Cursor"],
}
# Names that have their own pages.
OWN_PAGES = {"errors", "serving", "TallymarkError"}

# Bases whose inherited members are not listed.
UNLISTED_BASES = "object,Exception,BaseException,int,str,tuple"


def directive(module: ModuleType, name: str) -> str:
    """Return the Sphinx directive that describes a public name and, for a class, its members."""
    if not inspect.isclass(getattr(module, name)):
        return f".. autofunction:: {module.__name__}.{name}\n"
    options = ("members:", "undoc-members:", f"inherited-members: {UNLISTED_BASES}", "exclude-members: run_call")
    return "\n".join([f".. autoclass:: {module.__name__}.{name}", *(f"   :{each}" for each in options), ""])


def block(*lines: str) -> str:
    """Return reStructuredText as a block of a Markdown page."""
    return "\n".join(["```{eval-rst}", *lines, "```", ""])


def python_page() -> str:
    """Return the page about the names that `tallymark` exports."""
    described = [name for names in SECTIONS.values() for name in names]
    if differing := set(tallymark.__all__) ^ OWN_PAGES ^ set(described):
        sys.exit(f"docs/reference.py and tallymark.__all__ differ in {', '.join(sorted(differing))}")
    parts = ["# tallymark\n", "Everything here is imported from `tallymark`.\n"]
    for title, names in SECTIONS.items():
        parts += [f"## {title}\n", block(*(directive(tallymark, name) for name in names))]
    parts.append("## Parts of what is returned\n")
    parts += [
        block(*(directive(import_module(module), name) for name in names)) for module, names in NESTED_TYPES.items()
    ]
    return "\n".join(parts)


def module_page(module: ModuleType, names: list[str]) -> str:
    """Return the page about a public module."""
    return "\n".join(
        [
            f"# {module.__name__}\n",
            block(f".. automodule:: {module.__name__}"),
            block(*(directive(module, name) for name in names)),
        ]
    )


def defined_names(module: ModuleType) -> list[str]:
    """Return the public classes and functions that a module defines, in its order."""
    found = vars(module).items()
    return [name for name, value in found if not name.startswith("_") and is_defined_in(module, value)]


def is_defined_in(module: ModuleType, value: object) -> bool:
    """Return whether a class, a function or a fixture is defined in a module."""
    return getattr(value, "__module__", "") == module.__name__


PAGES = {
    "python": python_page(),
    "errors": module_page(errors, defined_names(errors)),
    "serving": module_page(serving, serving.__all__),
    "testing": module_page(testing, defined_names(testing)),
}
