"""Contexts: registries and projects by name, in `~/.config/tallymark/config.toml`, for programs and the command line.

    context = "work"

    [contexts.work]
    url = "registry.example.com:50051"
    project = "churn"

The file has no secrets; still, only its owner can read it.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tallymark.errors import InvalidSetting
from tallymark.runtime.machine import contexts_path

FIELDS = ("url", "project")


class Contexts(NamedTuple):
    """All contexts: their settings by name, and the name of the one in use, empty for none."""

    in_use: str
    by_name: Mapping[str, Mapping[str, str]]

    def get(self, name: str) -> Mapping[str, str]:
        """Return the settings of the context. Raises InvalidSetting if there is none of that name."""
        if name not in self.by_name:
            known = ", ".join(self.by_name) or "none yet"
            raise InvalidSetting(
                f"no context {name!r} in {contexts_path()}, which has {known}; name one of these, or add it:"
                " tallymark context add NAME --url HOST:PORT"
            )
        return self.by_name[name]


def read() -> Contexts:
    """Return the contexts in the file, none if there is no file. Raises InvalidSetting if it cannot be read."""
    import tomllib

    path = Path(contexts_path())
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Contexts("", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidSetting(f"cannot read {path}: {error}; correct it, or remove it") from None
    contexts = found.get("contexts", {})
    known = isinstance(contexts, dict) and all(_is_context(each) for each in contexts.values())
    in_use = found.get("context", "")
    if not known or found.keys() - {"context", "contexts"} or not isinstance(in_use, str):
        raise InvalidSetting(
            f"{path} holds more than the name of the context in use, `context`, and tables [contexts.NAME] with"
            f" {' and '.join(FIELDS)}; remove the rest"
        )
    return Contexts(in_use, contexts)


def _is_context(found: Any) -> bool:
    return (
        isinstance(found, dict) and not found.keys() - set(FIELDS) and all(isinstance(v, str) for v in found.values())
    )


def write(contexts: Contexts) -> None:
    """Replace the file atomically, readable by its owner alone. Raises OSError."""
    path = Path(contexts_path())
    lines = [f"context = {_quoted(contexts.in_use)}"] if contexts.in_use else []
    for name, settings in sorted(contexts.by_name.items()):
        lines += ["", f"[contexts.{_quoted(name)}]"]
        lines += [f"{field} = {_quoted(settings[field])}" for field in FIELDS if settings.get(field)]
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp creates the file with mode 0600. It is renamed once it is complete.
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".config-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write("\n".join(lines).lstrip("\n") + "\n")
        os.replace(partial, path)  # noqa: PTH105 - a name that mkstemp gave
    except BaseException:
        os.unlink(partial)  # noqa: PTH108 - a name that mkstemp gave
        raise


def _quoted(text: str) -> str:
    """Return the text as a basic string of TOML, which is that of JSON but escapes DEL, too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
