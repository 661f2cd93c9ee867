"""A simulated loss of power: the contents that a disk may have after a prefix of a traced server's system calls.

Synced writes survive. Of each other write all, none or some sectors survive. Changes of names in a folder become
durable when the folder is synced; of later changes, the first few may survive.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

from faults.strace import Step

SECTOR = 512


@dataclass
class FileContent:
    """The synced content of a file, and the writes since."""

    synced: bytearray = field(default_factory=bytearray)
    pending: list[Step] = field(default_factory=list)

    def sync(self) -> None:
        for step in self.pending:
            apply(self.synced, step)
        self.pending.clear()

    def after_loss(self, choose: random.Random | None) -> bytes:
        """Return the content after a loss of power: what was synced and, with `choose`, some of the other writes."""
        left = bytearray(self.synced)
        if choose is None:
            return bytes(left)
        for step in self.pending:
            if choose.random() < 0.7:
                apply(left, step, torn=choose if choose.random() < 0.5 else None)
        return bytes(left)


class Disk:
    """A folder on a disk that can lose power."""

    def __init__(self) -> None:
        self._names: dict[Path, FileContent] = {}
        self._name_changes: list[tuple[Path, FileContent | None]] = []
        self._current: dict[Path, FileContent] = {}

    def do(self, step: Step) -> None:
        """Apply the effect of a system call."""
        if step.what == "sendmsg":
            return
        path = step.path
        assert path is not None, f"a {step.what} without its file"
        match step.what:
            case "openat":
                if path not in self._current:
                    self._name(path, FileContent())
            case "unlink":
                self._name(path, None)
            case "rename":
                old = Path(step.data.decode())
                self._name(path, self._current[old])
                self._name(old, None)
            case "sync" if path in self._current:
                self._current[path].sync()
            case "sync":  # the folder
                self._names = self._current.copy()
                self._name_changes.clear()
            case "pwrite64" | "ftruncate":
                self._current[path].pending.append(step)

    def _name(self, path: Path, content: FileContent | None) -> None:
        self._name_changes.append((path, content))
        if content is None:
            self._current.pop(path, None)
        else:
            self._current[path] = content

    def after_loss(self, choose: random.Random | None) -> dict[str, bytes]:
        """Return the contents of the files after a loss of power, by name; without `choose`, only what was synced."""
        names = dict(self._names)
        for path, content in self._name_changes[: choose.randint(0, len(self._name_changes)) if choose else 0]:
            if content is None:
                names.pop(path, None)
            else:
                names[path] = content
        return {path.name: content.after_loss(choose) for path, content in names.items()}


def apply(content: bytearray, step: Step, torn: random.Random | None = None) -> None:
    """Apply a write or a truncation to the content; with `torn`, only to some of the written sectors."""
    if step.what == "ftruncate":
        del content[step.offset :]
        content.extend(bytes(step.offset - len(content)))
        return
    end = step.offset + len(step.data)
    content.extend(bytes(max(0, end - len(content))))
    for first in range(0, len(step.data), SECTOR):
        if torn is None or torn.random() < 0.5:
            part = step.data[first : first + SECTOR]
            content[step.offset + first : step.offset + first + len(part)] = part
