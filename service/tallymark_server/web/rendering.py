"""Render templates."""

from __future__ import annotations

import hashlib
import importlib.resources
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from tallymark_server.domain.promotion import etag
from tallymark_server.web import formatting
from tallymark_server.web.charts import begun
from tallymark_server.web.markdown import prose

STATIC = Path(str(importlib.resources.files("tallymark_server.web"))) / "static"


@lru_cache(maxsize=1)
def templates() -> Environment:
    """Return the templates, which escape all values and raise an error for an undefined variable."""
    found = Environment(
        loader=PackageLoader("tallymark_server.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    found.filters.update(
        {
            "ago": formatting.ago,
            "iso": formatting.iso,
            "stamp": formatting.stamp,
            "num": formatting.number,
            "change": formatting.change,
            "value": formatting.value,
            "kind": formatting.kind,
            "short": formatting.short,
            "size": formatting.size,
            "lasted": formatting.lasted,
            "begun": begun,
            "is_web": formatting.is_web,
            "prose": prose,
        }
    )
    found.globals.update({"static": static, "etag": etag})
    return found


@lru_cache(maxsize=64)
def static(name: str) -> str:
    """Return the address of a static file, with a digest of its content."""
    mark = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={mark}"


def render(template: str, **facts: Any) -> str:
    """Render the template with these variables."""
    return templates().get_template(template).render(facts)
