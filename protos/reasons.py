"""Write the table of reasons in protos/README.md from the comments in error.proto, or check that it is up to date.

python protos/reasons.py [--check]
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import NamedTuple

PROTOS = Path(__file__).resolve().parent
CONTRACT = PROTOS / "tallymark/v1/error.proto"
GUIDE = PROTOS / "README.md"
BEGIN = "<!-- written by `make protos` from tallymark/v1/error.proto -->"
END = "<!-- until here -->"

_ENTRY = re.compile(r"((?:^  //.*\n)+)^  ERROR_REASON_(\w+) = (\d+);", re.MULTILINE)


class Reason(NamedTuple):
    """A reason as the contract describes it."""

    name: str
    status: str
    meaning: str
    keys: str


def reasons(contract: str) -> list[Reason]:
    """Return the reasons of the contract in its order, without the unspecified one."""
    found = []
    for comment, name, number in _ENTRY.findall(contract):
        if number == "0":
            continue
        text = " ".join(line.strip().removeprefix("//").strip() for line in comment.splitlines())
        status, _, rest = text.partition(". ")
        meaning, _, keys = rest.partition(" Keys: ")
        found.append(Reason(name, status, meaning.strip(), keys.removesuffix(".")))
    return found


def table(found: list[Reason]) -> str:
    """Return one row for each reason; a link to its name in lower case leads to the row."""
    lines = ["| reason | status | meaning | keys |", "| --- | --- | --- | --- |"]
    for reason in found:
        keys = ", ".join(f"`{key}`" for key in reason.keys.split(", ") if key)
        named = f'<a id="{reason.name.lower()}"></a>`{reason.name}`'
        lines.append(f"| {named} | `{reason.status}` | {reason.meaning} | {keys} |")
    return "\n".join(lines)


def updated(guide: str, contract: str) -> str:
    """Return the guide with the table of the contract. Raise ValueError if the guide has no place for it."""
    if guide.count(BEGIN) != 1 or guide.count(END) != 1:
        raise ValueError(f"{GUIDE.name} needs one line {BEGIN} and, after it, one line {END}")
    before, _, rest = guide.partition(BEGIN)
    return f"{before}{BEGIN}\n{table(reasons(contract))}\n{END}{rest.partition(END)[2]}"


def main() -> None:
    """Bring the table up to date, or with --check fail if it is not."""
    parser = argparse.ArgumentParser(description="Write the table of reasons in protos/README.md.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail if the table is not up to date")
    args = parser.parse_args()
    present, contract = GUIDE.read_text(), CONTRACT.read_text()
    due = updated(present, contract)
    if args.check and due != present:
        sys.exit("the reasons in protos/README.md do not match error.proto; run `make protos`")
    if not args.check:
        GUIDE.write_text(due)
    print(f"the {len(reasons(contract))} reasons in protos/README.md match the contract")


if __name__ == "__main__":
    main()
