"""Link names in docstrings and signatures to their description in the reference."""

from __future__ import annotations

from typing import Any

# The modules from which users import names, whatever module defines them.
PUBLIC_MODULES = ("tallymark", "tallymark.errors", "tallymark.serving", "tallymark.testing")


def resolve(_: Any, environment: Any, node: Any, content: Any) -> Any:
    """Return a link to the public name that the node refers to, or None."""
    if node.get("refdomain") != "py":
        return None
    python, target = environment.get_domain("py"), node["reftarget"]
    parts = target.removesuffix("()").split(".")
    for length in (1, 2):
        for module in PUBLIC_MODULES:
            name = ".".join([module, *parts[-length:]])
            if name in python.objects:
                kind = python.objects[name].objtype
                role = python.role_for_objtype(kind)
                return python.resolve_xref(
                    environment, node["refdoc"], environment.app.builder, role, name, node, content
                )
    return None
