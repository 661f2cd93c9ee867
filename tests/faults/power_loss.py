"""The loss of power at any moment: what a disk may hold of the writes that a traced server made.

What was synced is there. Of each write that was not, all, nothing or some sectors are there. Names in a folder become
durable with the folder, in the order in which they were made and taken away.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

from faults.strace import Step

SECTOR = 512


@dataclass
class Content:
    """What a file holds for certain, and what was written since."""

    synced: bytearray = field(default_factory=bytearray)
    pending: list[Step] = field(default_factory=list)

    def sync(self) -> None:
        for step in self.pending:
            apply(self.synced, step)
        self.pending.clear()

    def after_loss(self, choose: random.Random | None) -> bytes:
        """What is left: without a choice what was synced alone, else also some of the rest."""
        left = bytearray(self.synced)
        for step in self.pending if choose else ():
            if choose.random() < 0.7:
                apply(left, step, torn=choose if choose.random() < 0.5 else None)
        return bytes(left)


class Disk:
    """A folder on a disk that can lose power."""

    def __init__(self) -> None:
        self._names: dict[Path, Content] = {}
        self._renamed: list[tuple[Path, Content | None]] = []
        self._now: dict[Path, Content] = {}

    def do(self, step: Step) -> None:
        """What the system call did."""
        match step.what:
            case "openat":
                if step.path not in self._now:
                    self._name(step.path, Content())
            case "unlink":
                self._name(step.path, None)
            case "rename":
                old = Path(step.data.decode())
                self._name(step.path, self._now[old])
                self._name(old, None)
            case "sendmsg":
                pass
            case "sync" if step.path in self._now:
                self._now[step.path].sync()
            case "sync":  # the folder
                self._names = self._now.copy()
                self._renamed.clear()
            case "pwrite64" | "ftruncate":
                self._now[step.path].pending.append(step)

    def _name(self, path: Path, content: Content | None) -> None:
        self._renamed.append((path, content))
        if content is None:
            self._now.pop(path, None)
        else:
            self._now[path] = content

    def after_loss(self, choose: random.Random | None) -> dict[str, bytes]:
        """The files that are left by their names; without a choice, of what was certain alone."""
        names = dict(self._names)
        for path, content in self._renamed[: choose.randint(0, len(self._renamed)) if choose else 0]:
            if content is None:
                names.pop(path, None)
            else:
                names[path] = content
        return {path.name: content.after_loss(choose) for path, content in names.items()}


def apply(content: bytearray, step: Step, torn: random.Random | None = None) -> None:
    """Do to the content what the step did to the file, or to some of its sectors."""
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
