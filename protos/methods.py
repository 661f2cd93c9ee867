"""Write the table of methods and roles in protos/README.md from the options in the contract, or check that it is right.

python protos/methods.py [--check]
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import NamedTuple

PROTOS = Path(__file__).resolve().parent
CONTRACT = PROTOS / "tallymark/v1"
GUIDE = PROTOS / "README.md"
BEGIN = "<!-- written by `make protos` from the options of the methods -->"
END = "<!-- until here come the methods -->"

_SERVICE = re.compile(r"^service (\w+) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_METHOD = re.compile(r"^  rpc (\w+)\(.*?\) returns \(.*?\)(?:;| \{\n(.*?)^  \})", re.MULTILINE | re.DOTALL)
_ROLE = re.compile(r"option \(needs\) = ROLE_(\w+);")
_PROJECT = re.compile(r'option \(in_project\) = "([^"]+)";')
_SPECIAL = {"*": "all projects", "-": "none: the reply has what the caller may read"}


class Method(NamedTuple):
    """A method: its service, its name, the role that it needs, and the field that names the project."""

    service: str
    name: str
    role: str
    field: str


def methods(contract: str) -> list[Method]:
    """Return the methods of a file of the contract. Raise ValueError for one that has no role."""
    found = []
    for service, body in _SERVICE.findall(contract):
        for name, options in _METHOD.findall(body):
            role, project = _ROLE.search(options), _PROJECT.search(options)
            if role is None:
                raise ValueError(f"{service}.{name} needs an option (needs)")
            found.append(Method(service, name, role[1].lower(), project[1] if project else ""))
    return found


def table(found: list[Method]) -> str:
    """Return one row for each method."""
    lines = ["| method | role | in the project of | service |", "| --- | --- | --- | --- |"]
    for method in found:
        field = "any that the request is about" if method.field == "-" and method.role != "reader" else ""
        field = field or _SPECIAL.get(method.field) or (f"`{method.field}`" if method.field else "`parent` or `name`")
        lines.append(f"| `{method.name}` | `{method.role}` | {field} | `{method.service}` |")
    return "\n".join(lines)


def updated(guide: str, found: list[Method]) -> str:
    """Return the guide with the table of these methods. Raise ValueError if the guide has no place for it."""
    if guide.count(BEGIN) != 1 or guide.count(END) != 1:
        raise ValueError(f"{GUIDE.name} needs one line {BEGIN} and, after it, one line {END}")
    before, _, rest = guide.partition(BEGIN)
    return f"{before}{BEGIN}\n{table(found)}\n{END}{rest.partition(END)[2]}"


def main() -> None:
    """Bring the table up to date, or with --check fail if it is not."""
    parser = argparse.ArgumentParser(description="Write the table of methods and roles in protos/README.md.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail if the table is not up to date")
    args = parser.parse_args()
    found = [method for path in sorted(CONTRACT.glob("*.proto")) for method in methods(path.read_text())]
    present = GUIDE.read_text()
    due = updated(present, found)
    if args.check and due != present:
        sys.exit("the methods in protos/README.md do not match the contract; run `make protos`")
    if not args.check:
        GUIDE.write_text(due)
    print(f"the {len(found)} methods in protos/README.md match the contract")


if __name__ == "__main__":
    main()
