"""Write the pages about the public names of the SDK; Sphinx fills them in from the docstrings.

A public name that no section has is an error, so that the reference is complete.
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
    "Enumerations": ["Stage", "RunState", "ArtifactRole", "ArtifactType"],
}
# What the above are made of; their users need not import it.
PARTS = {
    "tallymark.types.resources": ["VersionUse", "MetricChange", "LineageNode", "Erasure", "Ensured", "Started"],
    "tallymark.types.proofs": ["Erased"],
    "tallymark.client.calls": ["WatchMessage", "ExportChunk", "Cursor"],
}
# Described on pages of their own.
ELSEWHERE = {"errors", "serving", "TallymarkError"}

# What classes inherit from these is no news to who reads Python.
BUILT_IN = "object,Exception,BaseException,int,str,tuple"


def directive(module: ModuleType, name: str) -> str:
    """Return the directive of Sphinx that describes a public name, and the members of a class."""
    if not inspect.isclass(getattr(module, name)):
        return f".. autofunction:: {module.__name__}.{name}\n"
    options = ("members:", "undoc-members:", f"inherited-members: {BUILT_IN}", "exclude-members: run_call")
    return "\n".join([f".. autoclass:: {module.__name__}.{name}", *(f"   :{each}" for each in options), ""])


def block(*lines: str) -> str:
    """Return lines for Sphinx in a page of Markdown."""
    return "\n".join(["```{eval-rst}", *lines, "```", ""])


def python_page() -> str:
    """Return the page about what `tallymark` exports."""
    described = [name for names in SECTIONS.values() for name in names]
    if forgotten := set(tallymark.__all__) ^ ELSEWHERE ^ set(described):
        sys.exit(f"docs/reference.py and tallymark.__all__ differ in {', '.join(sorted(forgotten))}")
    parts = ["# tallymark\n", "Everything here is imported from `tallymark`.\n"]
    for title, names in SECTIONS.items():
        parts += [f"## {title}\n", block(*(directive(tallymark, name) for name in names))]
    parts.append("## Parts of what is returned\n")
    parts += [block(*(directive(import_module(module), name) for name in names)) for module, names in PARTS.items()]
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


def own(module: ModuleType) -> list[str]:
    """Return the public classes and functions that a module defines, in its order."""
    found = vars(module).items()
    return [name for name, value in found if not name.startswith("_") and value_is_from(module, value)]


def value_is_from(module: ModuleType, value: object) -> bool:
    """Return whether a class, a function or a fixture is defined in a module."""
    return getattr(value, "__module__", "") == module.__name__


PAGES = {
    "python": python_page(),
    "errors": module_page(errors, own(errors)),
    "serving": module_page(serving, serving.__all__),
    "testing": module_page(testing, own(testing)),
}
