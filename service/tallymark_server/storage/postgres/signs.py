"""Signs of life of runs, by the database's clock, since those of servers differ."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from tallymark_server.storage.contract import RunKey
from tallymark_server.storage.postgres.exchange import BEGIN, COMMIT, Answer, Call

_SIGNS = """
unnest($1::text[], $2::text[]) AS sign (project, run)
CROSS JOIN LATERAL (SELECT id FROM projects WHERE name = sign.project LIMIT 1) AS place
"""
# A sign that is lost is soon followed by another.
_RELAX = Call(b"SET LOCAL synchronous_commit = off")
_NOTE = f"""
INSERT INTO signs_of_life (project, run, seen) SELECT place.id, sign.run, clock_timestamp() FROM {_SIGNS}
ON CONFLICT (project, run) DO UPDATE SET seen = excluded.seen
""".encode()
_NOT_AWAITED = f"""
SELECT sign.project, sign.run FROM {_SIGNS}
LEFT JOIN LATERAL (SELECT awaited FROM runs WHERE project = place.id AND id = sign.run LIMIT 1) AS known ON TRUE
WHERE known.awaited IS NULL
""".encode()
_SILENCES = f"""
SELECT sign.project, sign.run, extract(epoch FROM clock_timestamp() - noted.seen)::double precision FROM {_SIGNS}
CROSS JOIN LATERAL (SELECT seen FROM signs_of_life WHERE project = place.id AND run = sign.run LIMIT 1) AS noted
""".encode()
# Signs of runs that need not send any more.
CLEAN = b"""
DELETE FROM signs_of_life WHERE NOT EXISTS (
    SELECT FROM runs WHERE project = signs_of_life.project AND id = signs_of_life.run AND awaited IS NOT NULL
)
"""


Ask = Callable[..., Coroutine[Any, Any, list[Answer]]]


class Signs:
    """The signs in the database. `change` and `read` send statements, and raise StorageUnavailable."""

    def __init__(self, change: Ask, read: Ask) -> None:
        self._change = change
        self._read = read

    async def note(self, runs: Sequence[RunKey]) -> list[RunKey]:
        keys = _columns(runs)
        answers = await self._change(BEGIN, _RELAX, Call(_NOTE, keys), Call(_NOT_AWAITED, keys), COMMIT)
        return [(project, run) for project, run in answers[3].rows]

    async def silences(self, runs: Sequence[RunKey]) -> dict[RunKey, float]:
        (answer,) = await self._read(Call(_SILENCES, _columns(runs)))
        return {(project, run): seconds for project, run, seconds in answer.rows}


def _columns(runs: Sequence[RunKey]) -> tuple[list[str], list[str]]:
    return [project for project, _ in runs], [run for _, run in runs]
