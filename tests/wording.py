"""Checks that docstrings, comments and messages keep to plain words: `python tests/wording.py` prints what does not.

To watch another folder, add a line to COVERED; to watch another word, add a line to WORDS, or to WORDS_FOR_USERS.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# What not to write, and what to write instead.
WORDS = {
    r"tells?|told": "return, report, print or send",
    r"asked|asks": "requested, calls or queries",
    r"(of|to|for|by) which": "a sentence without the chain",
    r"put away|puts away|taken away": "remove or purge",
    r"stands": "is",
}
# What not to write in texts for users too, such as errors and help.
WORDS_FOR_USERS = {
    r"(is|are) given": "name who passes it, or what to set",
    r"(is|are) there already": "exists already",
    r"(is|are) meant": "say what it is for",
    r"put aside": "set aside",
    r"says? (so|what)": "name the word or the value to write",
    r"ask(s|ing)? for": "call, request or name",
}
# The folders whose messages users read.
TEXTS = ("sdk", "service")
# Most texts there are SQL.
_STORAGE = ROOT / "service/tallymark_server/storage"
# The folders and modules that are watched, without generated code.
COVERED = (
    ".ci/lock.py",
    "docs",
    "protos",
    "sdk",
    "service",
    "tests",
)
_GENERATED = ROOT / "sdk/tallymark/v1"
# `module:word` that may stay, and why.
EXCEPTIONS = {
    "sdk/tallymark/cli/sync.py:for which": "the docstring is the help of `tallymark sync`, which users know",
}


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Return the lines of comments and docstrings, each with its number."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                yield from enumerate(str(first.value.value).splitlines(), first.lineno)


def messages(text: str) -> Iterator[tuple[int, str]]:
    """Return the texts of a module that are no docstrings, each with its line."""
    tree = ast.parse(text)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) not in docstrings and isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def problems(text: str, *, for_users: bool = False) -> Iterator[tuple[int, str, str]]:
    """Return each line that has such a word outside of code, with its number and what to write instead."""
    lines = [(number, line, WORDS) for number, line in prose(text)]
    if for_users:
        lines += [(number, line, WORDS | WORDS_FOR_USERS) for number, line in messages(text)]
    for number, line, words in lines:
        for word, instead in words.items():
            if found := re.search(rf"\b({word})\b", re.sub("`[^`]*`", "", line), re.IGNORECASE):
                yield number, found.group(), instead


def files(covered: tuple[str, ...] = COVERED) -> Iterator[Path]:
    """Return the modules that are watched."""
    for place in covered:
        path = ROOT / place
        modules = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        yield from (module for module in modules if _GENERATED not in module.parents)


def main(covered: tuple[str, ...]) -> None:
    """Print what is not plain, and fail if there is any."""
    found = [
        f"{path.relative_to(ROOT)}:{number}: {word!r}; write {instead}"
        for path in files(covered)
        for number, word, instead in problems(
            path.read_text(), for_users=path.relative_to(ROOT).parts[0] in TEXTS and _STORAGE not in path.parents
        )
        if f"{path.relative_to(ROOT)}:{word}" not in EXCEPTIONS
    ]
    print(*found, f"{len(found)} words to replace", sep="\n")
    sys.exit(bool(found))


if __name__ == "__main__":
    main(tuple(sys.argv[1:]) or COVERED)
