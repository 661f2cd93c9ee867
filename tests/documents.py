"""README.md and the guides: their blocks of code, links and anchors."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from cached_folders import ROOT

ADDRESS = "https://github.com/tallymark/tallymark"
# PyPI shows README.md too, and relative links do not work there, so its links are addresses of these folders.
FOLDERS = re.compile(rf"{ADDRESS}/(?:blob|tree|raw)/main/")

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_PARTS = re.compile(r"^```(\w+)\n(.*?)^```$|^#+ ([^\n]+)$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A block of code, and the heading under which it is shown."""

    document: str
    chapter: str
    language: str
    text: str


def documents() -> list[str]:
    """Return the path of each Markdown file that is checked in."""
    found = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    return found.stdout.splitlines()


def read(document: str) -> str:
    return (ROOT / document).read_text()


def blocks(document: str) -> list[Block]:
    """Return the blocks of code of a document, in order."""
    found, chapter = [], ""
    for part in _PARTS.finditer(read(document)):
        if part[3]:
            chapter = part[3]
        else:
            found.append(Block(document, chapter, part[1], part[2]))
    return found


def chapter(document: str, title: str) -> str:
    """Return the text under a heading of the second level, without those after it."""
    text = read(document).partition(f"## {title}\n")[2]
    assert text, f"{document} has no chapter {title}"
    return text.partition("\n## ")[0]


def anchors(document: str) -> set[str]:
    """Return the anchors of a document: those that GitHub derives from headings, and explicit ones."""
    text = _FENCE.sub("", read(document))
    seen: Counter[str] = Counter()
    found = set(re.findall(r'<a id="([^"]+)">', text))
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def links(document: str) -> list[str]:
    """Return the targets of the links and pictures of a document, without those in code."""
    text = re.sub(r"`[^`\n]*`", "`", _FENCE.sub("", read(document)))
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|srcset|href)="([^"]+)"', text)


def broken(document: str) -> list[str]:
    """Return the links into this repository whose file or anchor does not exist."""
    return [link for link in links(document) if not _target_exists(document, link)]


def _target_exists(document: str, link: str) -> bool:
    own = FOLDERS.match(link)
    if not own and re.match(r"[a-z]+:", link):
        return True  # links to other sites are not checked
    path, _, anchor = (link[own.end() :] if own else link).partition("#")
    start = ROOT if own else (ROOT / document).parent
    target = (start / path).resolve() if path else ROOT / document
    if not target.exists() or not target.is_relative_to(ROOT):
        return False
    return not anchor or anchor in anchors(_document_at(target))


def _document_at(target: Path) -> str:
    """Return the document that a link to a file or to a folder shows."""
    shown = target / "README.md" if target.is_dir() else target
    return PurePosixPath(shown.relative_to(ROOT)).as_posix()
