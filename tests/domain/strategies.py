"""Anything that may be requested of a small project, for tests that search for what nobody thought of."""

from __future__ import annotations

from typing import Any

from domain import commands as ask
from hypothesis import strategies as st
from msgspec.structs import replace

from tallymark_server.domain.commands import Keys
from tallymark_server.domain.decisions import AnyCommand
from tallymark_server.domain.model import Point, RecordingProblem, RunState, Stage
from tallymark_server.domain.reference import aliased, in_stage, named, parse

MODELS, NAMES, ALIASES = ("churn", "fraud"), ("rc", "1.0"), ("champion", "canary")
RUNS, STEPS, ARTIFACTS = ("train", "retrain"), ("fit", "score"), ("weights", "report")
NUMBERS = range(1, 5)
# As many by number as by anything else.
SEGMENTS = (
    *map(str, NUMBERS),
    *map(str, NUMBERS),
    "latest",
    "@production",
    "@staging",
    *(f"@{a}" for a in ALIASES),
    *(f"={n}" for n in NAMES),
)
REQUEST_IDS = tuple("abcdefgh")

_model, _name, _alias, _run = map(st.sampled_from, (MODELS, NAMES, ALIASES, RUNS))
_segment, _step, _artifact = map(st.sampled_from, (SEGMENTS, STEPS, ARTIFACTS))
_maybe_name, _maybe_run, _expected = st.none() | _name, st.none() | _run, st.none() | st.integers(0, 3)
_state = st.sampled_from([RunState.SUCCEEDED, RunState.FAILED])
_stage = st.sampled_from(list(Stage))
_key = st.sampled_from(["auc", "loss"])
_names = st.lists(_maybe_name, min_size=1, max_size=3)
_metadata = st.dictionaries(_key, st.sampled_from([1.0, True, "good", None]), max_size=2)
_point = st.builds(Point, _key, st.integers(0, 3), st.sampled_from([0.5, 0.7]), st.just(0))
_config = st.builds(ask.config, st.just("") | st.sampled_from([*SEGMENTS]), model=_model)
_problem = st.builds(RecordingProblem, st.sampled_from(["metric", "file"]), st.just("lost"), st.integers(1, 3))
_etag = st.sampled_from(["", "", "", "r2", "r5"])
_flag = st.booleans()


def _versions(build: Any, *given: Any, **fields: Any) -> st.SearchStrategy[AnyCommand]:
    return st.builds(build, _segment, *given, model=_model, **fields)


_command: st.SearchStrategy[AnyCommand] = st.one_of(
    st.builds(ask.create_model, _model),
    st.builds(lambda model, text: ask.update_model(model, description=text), _model, _name),
    st.builds(ask.rename_model, _model, _model),
    st.builds(ask.delete_model, _model, force=_flag, etag=_etag),
    st.builds(ask.undelete_model, _model),
    st.builds(ask.purge_model, _model),
    st.builds(lambda names, model: ask.create_versions(*names, model=model), _names, _model),
    st.builds(ask.ensure, run=_maybe_run, config=_config),
    _versions(ask.update_version, name=_maybe_name),
    _versions(ask.update_version, description=_name, metadata=_metadata, etag=_etag),
    _versions(ask.delete_version, force=_flag),
    _versions(ask.undelete_version),
    _versions(ask.purge_version),
    _versions(
        ask.set_stage, _stage, force=_flag, expected=_expected, allow_unfinished_run=_flag, reason=st.just("good")
    ),
    _versions(ask.set_alias, _alias, expected=_expected),
    st.builds(ask.delete_alias, _alias, model=_model, expected=_expected),
    st.builds(
        lambda version, metadata, points, keys, model: ask.log_metadata(
            version, metadata, *points, delete_keys=frozenset(keys), model=model
        ),
        _segment, _metadata, st.lists(_point, max_size=3), st.lists(_key, max_size=1), _model,
    ),
    _versions(ask.link, _artifact, st.sampled_from(["s3://a", "s3://b"]), run=_maybe_run),
    _versions(ask.unlink, _artifact, st.none() | st.integers(1, 3)),
    st.builds(ask.start_run, _run, config=st.none() | _config),
    st.builds(ask.finish_run, _state, _run),
    st.builds(lambda run: ask.lose_run(run, last_seen=5), _run),
    st.builds(ask.resume_run, _run),
    st.builds(lambda problem, run: ask.report_problems(problem, run=run), _problem, _run),
    st.builds(
        lambda step, run, model, version: ask.start_step(step, run=run, version=version and (model, parse(version))),
        _step, _run, _model, st.none() | _segment,
    ),
    st.builds(lambda state, step, run: ask.finish_step(state, step, run=run), _state, _step, _run),
)  # fmt: skip


def everything() -> Keys:
    """Keys of everything that can be known of the project."""
    pointers = {*map(named, NAMES), *map(aliased, ALIASES), in_stage(Stage.PRODUCTION), in_stage(Stage.STAGING)}
    references = {parse(segment) for segment in SEGMENTS} | pointers
    return Keys(
        receipts=set(REQUEST_IDS),
        models=set(MODELS),
        versions={(model, reference) for model in MODELS for reference in references},
        automatic={(run, model) for run in RUNS for model in MODELS},
        runs=set(RUNS),
        uses={(run, model) for run in RUNS for model in MODELS},
        steps={(run, step) for run in RUNS for step in STEPS},
        artifacts={(m, parse(str(number)), name) for m in MODELS for number in NUMBERS for name in ARTIFACTS},
        holders=set(MODELS),
        made=set(RUNS),
    )


@st.composite
def _batches(draw: st.DrawFn) -> list[list[AnyCommand]]:
    """Draw batches of commands. Some repeat the request_id of an earlier one, for the same command or for another."""
    known: dict[str, AnyCommand] = {}
    batches: list[list[AnyCommand]] = [list(BEGINNING)]
    for commands in draw(st.lists(st.lists(_command, min_size=1, max_size=8), min_size=1, max_size=4)):
        batches.append([])
        for command in commands:
            if request_id := draw(st.sampled_from(["", "", *REQUEST_IDS])):
                request = replace(command, request_id=request_id, fingerprint=repr(command).encode())
                # Mostly the same request comes again, as from a client that had no answer.
                request = known.setdefault(request_id, request) if draw(st.integers(0, 3)) else request
                batches[-1].append(request)
            else:
                batches[-1].append(command)
    return batches


BEGINNING: tuple[AnyCommand, ...] = (
    ask.create_model(),
    ask.create_model("fraud"),
    ask.create_versions(None, "rc"),
    ask.create_version(model="fraud"),
    ask.start_run(config=ask.config()),
    ask.start_run("retrain", config=ask.config("1")),
    ask.start_step(),
    ask.set_stage(2, Stage.PRODUCTION),
    ask.set_alias(1, "champion"),
    ask.link(1, "weights", "s3://a"),
)
batches = _batches()
