"""The check of answers about projects, which are not in the log of the checked one."""

from __future__ import annotations

from collections.abc import Sequence

from consistency.history import Operation, Refusal


def contradictions(history: Sequence[Operation]) -> list[str]:
    """Return contradictions about projects: each is created once, and exists from then on."""
    found = []
    created: dict[str, list[Operation]] = {}
    for each in history:
        if each.method == "CreateProject":
            created.setdefault(each.request.project_id, []).append(each)
    for name, operations in created.items():
        done = [each for each in operations if each.answers and not isinstance(each.answers[0][1], Refusal)]
        unknown = [each for each in operations if not each.answers]
        if len(done) > 1 or (not done and not unknown):
            found.append(f"{name} was created {len(done)} times")
        begun = min((each.begin for each in [*done, *unknown]), default=0.0)
        found += [f"{each}: answered before it began" for each in operations if each.end < begun]
    for each in history:
        if each.method == "GetProject" and each.answers:
            name = each.request.name.split("/")[1]
            others = created.get(name, [])
            if isinstance(each.answers[0][1], Refusal):
                wrong = any(other.end < each.begin for other in others)
            else:
                wrong = all(other.begin > each.end for other in others)
            found += [f"{each}: {each.answers[0][1]}"] if wrong else []
    return found
