"""Write the pages of the documentation from the guides in the repository and from the contract.

    python docs/assemble.py FOLDER

Links between guides become links between pages, pictures are copied, and links to other files of the repository become
links to GitHub. A broken link is an error.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import contract
import reference

ROOT = Path(__file__).resolve().parents[1]
REPOSITORY = "https://github.com/tallymark/tallymark"

# The guides and the names of their pages, in the order of the site.
GUIDES = {
    "README.md": "index",
    "sdk/README.md": "sdk",
    "sdk/examples/README.md": "examples",
    "service/README.md": "service",
    "service/postgres.md": "postgres",
    "protos/README.md": "api",
    "tests/README.md": "tests",
    "tests/bench/published/report.md": "performance",
    ".github/CHANGELOG.md": "changes",
    ".github/SECURITY.md": "security",
    ".github/CONTRIBUTING.md": "contributing",
    ".github/RELEASING.md": "releasing",
}
CHAPTERS = {
    "Guides": ["sdk", "examples", "service", "postgres", "api"],
    "Reference": [*reference.PAGES, "contract"],
    "Project": ["changes", "security", "performance", "contributing", "tests", "releasing"],
}

# The folder whose files Sphinx copies unchanged.
STATIC = "published"

_FENCE = re.compile(r"(^```.*?^```[ ]*$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?P<before>\]\(|(?:src|srcset|href)=\")(?P<target>[^)\"\s]+)(?P<after>[)\"])")
_PICTURES = {".svg", ".png"}


def relinked(guide: str, folder: Path) -> str:
    """Return the text of a guide with its links changed to those of the site, and copy its pictures."""

    def link(match: re.Match[str]) -> str:
        target, hash_, anchor = match["target"].partition("#")
        if re.match(r"[a-z]+:", target) or not target:
            return match[0]
        path = os.path.normpath(Path(guide).parent / target)
        if path not in GUIDES and not (ROOT / path).exists():
            sys.exit(f"{guide}: {match['target']} leads nowhere")
        if (ROOT / path / "README.md").exists() and f"{path}/README.md" in GUIDES:
            path = f"{path}/README.md"
        if path in GUIDES:
            place = f"{GUIDES[path]}.md"
        elif Path(path).suffix in _PICTURES:
            place = f"pictures/{Path(path).name}"
            (folder / STATIC / "pictures").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, folder / STATIC / place)
            # Sphinx does not rewrite HTML in a guide, so its links are relative to the copied file.
            place = f"{STATIC}/{place}" if match["before"] == "](" else place
        else:
            place = f"{REPOSITORY}/blob/main/{path}"
        return f"{match['before']}{place}{hash_}{anchor}{match['after']}"

    parts = _FENCE.split((ROOT / guide).read_text())
    # The pattern captures code, so code is at the odd indexes.
    return "".join(part if place % 2 else _LINK.sub(link, part) for place, part in enumerate(parts))


def toctree(pages: list[str], caption: str) -> str:
    """Return the directive that lists pages in the sidebar."""
    return "\n".join(["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```", ""])


def assemble(folder: Path) -> None:
    """Remove the folder, and write every page into it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for guide, page in GUIDES.items():
        if (ROOT / guide).exists():
            (folder / f"{page}.md").write_text(relinked(guide, folder))
    for page, text in reference.PAGES.items():
        (folder / f"{page}.md").write_text(text)
    (folder / "contract.md").write_text(contract.page())
    written = {path.stem for path in folder.glob("*.md")}
    with (folder / "index.md").open("a") as index:
        for caption, pages in CHAPTERS.items():
            index.write(toctree([page for page in pages if page in written], caption))


if __name__ == "__main__":
    assemble(Path(sys.argv[1]))
