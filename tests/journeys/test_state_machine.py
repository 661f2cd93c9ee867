"""A reference model of the registry's rules compared with a real server, for random sequences of commands.

`make soak` runs the same with many more examples.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from grpc_calls import PROJECT, Calls, refusal_of, refused
from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from journeys.reference_model import ReferenceModel, RefusedError, Version

from tallymark.testing import Server
from tallymark.v1 import event_pb2, model_pb2, model_registry_pb2, run_registry_pb2
from tallymark_server.storage.sqlite.verification import verify

MODELS = st.sampled_from(["a", "b"])
NAMES = st.sampled_from(["", "rc", "1.0", "gold"])
ALIASES = st.sampled_from(["champion", "canary"])
RUNS = st.sampled_from(["r1", "r2", "r3", "r4"])
STAGES = st.sampled_from(["none", "staging", "production", "archived"])
REFERENCES = st.sampled_from(
    ["1", "2", "3", "latest", "@production", "@staging", "@champion", "@canary", "=rc", "=1.0", "=gold"]
)


class RegistryMachine(RuleBasedStateMachine):
    """Sends each command to the reference model and to the server, and compares every answer and the whole state."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.server = Server(Path(self.folder.name, "tallymark.db"))
        self.server.start()
        self.channel = grpc.insecure_channel(self.server.address)
        self.calls = Calls(self.channel)
        self.reference_model = ReferenceModel()
        self.attempts = 0
        self.revision = self.restarted_at = 0
        self.answered: list[tuple[Callable[[], Any], Any]] = []

    def teardown(self) -> None:
        self.channel.close()
        self.server.kill()
        problems = verify(self.server.db).problems
        self.folder.cleanup()
        assert problems == []

    def request_id(self) -> str:
        self.attempts += 1
        return f"attempt-{self.attempts}"

    def compare(self, expect: Callable[[], Any], ask: Callable[[], Any], *, repeatable: bool = True) -> Any:
        """Return the server's answer. Check that it is a refusal if the model refuses, with the same reason."""
        try:
            expected = expect()
        except RefusedError as refusal:
            with refused(str(refusal)):
                ask()
            return None
        before = self.calls.events()[-1:]
        answer = ask()
        if repeatable and self.calls.events()[-1:] != before:
            self.answered.append((ask, answer))
        if isinstance(expected, Version):
            self.check(answer, expected)
        return answer

    def check(self, found: model_pb2.ModelVersion, expected: Version) -> None:
        assert (found.number, found.version_name) == (expected.number, expected.name or str(expected.number))
        assert found.stage == model_pb2.Stage.Value(f"STAGE_{expected.stage.upper()}")
        assert list(found.aliases) == sorted(expected.aliases)
        assert {key: value.number for key, value in found.metadata.items()} == expected.metadata
        assert found.series == expected.series
        assert found.run == (f"{PROJECT}/runs/{expected.run}" if expected.run else "")
        state = (
            f"RUN_STATE_{self.reference_model.runs[expected.run].upper()}" if expected.run else "RUN_STATE_UNSPECIFIED"
        )
        assert found.run_state == model_pb2.RunState.Value(state)

    def check_model(self, found: model_pb2.Model, last_number: int, there: list[Version]) -> None:
        holders = {version.stage: version.number for version in there}
        assert found.last_number == last_number
        assert found.latest_number == max((version.number for version in there), default=0)
        assert found.production_number == holders.get("production", 0)
        assert found.staging_number == holders.get("staging", 0)
        assert found.aliases == {alias: version.number for version in there for alias in version.aliases}

    @rule(model=MODELS)
    def create_model(self, model: str) -> None:
        attempt = self.request_id()
        self.compare(lambda: self.reference_model.create_model(model), lambda: self.calls.create_model(model, attempt))

    @rule(model=MODELS, name=NAMES)
    def create_version(self, model: str, name: str) -> None:
        attempt = self.request_id()
        self.compare(
            lambda: self.reference_model.create(model, name), lambda: self.calls.create_version(model, name, attempt)
        )

    @rule(run=RUNS)
    def start_run(self, run: str) -> None:
        attempt = self.request_id()
        self.reference_model.runs.setdefault(run, "running")
        self.calls.start_run(run, request_id=attempt)

    @rule(run=RUNS, state=st.sampled_from(["succeeded", "failed"]))
    def finish_run(self, run: str, state: str) -> None:
        value = model_pb2.RunState.Value(f"RUN_STATE_{state.upper()}")
        request = run_registry_pb2.FinishRunRequest(
            name=f"{PROJECT}/runs/{run}", state=value, request_id=self.request_id()
        )
        self.compare(lambda: self.reference_model.finish_run(run, state), lambda: self.calls.runs.FinishRun(request))

    @rule(model=MODELS, reference=st.just("") | REFERENCES, run=st.just("") | RUNS)
    def ensure(self, model: str, reference: str, run: str) -> None:
        attempt = self.request_id()
        expected: list[tuple[Version, bool]] = []
        answer = self.compare(
            lambda: expected.append(self.reference_model.ensure(model, reference, run)),
            lambda: self.calls.ensure(model, reference, run, attempt),
        )
        if answer is not None:
            ((version, created),) = expected
            assert answer.created == created
            self.check(answer.model_version, version)

    @rule(
        model=MODELS, reference=REFERENCES, stage=STAGES, force=st.booleans(), allowed=st.booleans(),
        reason=st.sampled_from(["", "why"]),
    )  # fmt: skip
    def set_stage(self, model: str, reference: str, stage: str, force: bool, allowed: bool, reason: str) -> None:
        value = model_pb2.Stage.Value(f"STAGE_{stage.upper()}")
        fields = {"force": force, "allow_unfinished_run": allowed, "reason": reason, "request_id": self.request_id()}
        self.compare(
            lambda: self.reference_model.set_stage(model, reference, stage, force, allowed, reason),
            lambda: self.calls.set_stage(model, reference, value, **fields),
        )

    @rule(model=MODELS, reference=REFERENCES, alias=ALIASES, expected=st.none() | st.integers(0, 3))
    def set_alias(self, model: str, reference: str, alias: str, expected: int | None) -> None:
        attempt = self.request_id()
        self.compare(
            lambda: self.reference_model.set_alias(model, reference, alias, expected),
            lambda: self.calls.set_alias(model, reference, alias, expected_number=expected, request_id=attempt),
        )

    @rule(model=MODELS, alias=ALIASES)
    def delete_alias(self, model: str, alias: str) -> None:
        attempt = self.request_id()
        self.compare(
            lambda: self.reference_model.delete_alias(model, alias),
            lambda: self.calls.delete_alias(model, alias, request_id=attempt),
        )

    @rule(model=MODELS, reference=REFERENCES, force=st.booleans())
    def delete_version(self, model: str, reference: str, force: bool) -> None:
        request = model_registry_pb2.DeleteModelVersionRequest(
            name=f"{PROJECT}/models/{model}/versions/{reference}", force=force, request_id=self.request_id()
        )
        self.compare(
            lambda: self.reference_model.delete(model, reference, force),
            lambda: self.calls.models.DeleteModelVersion(request),
        )

    @rule(model=MODELS, reference=REFERENCES)
    def undelete_version(self, model: str, reference: str) -> None:
        request = model_registry_pb2.UndeleteModelVersionRequest(
            name=f"{PROJECT}/models/{model}/versions/{reference}", request_id=self.request_id()
        )
        self.compare(
            lambda: self.reference_model.undelete(model, reference),
            lambda: self.calls.models.UndeleteModelVersion(request),
        )

    @rule(model=MODELS, reference=REFERENCES)
    def purge_version(self, model: str, reference: str) -> None:
        request = model_registry_pb2.PurgeModelVersionRequest(
            name=f"{PROJECT}/models/{model}/versions/{reference}", request_id=self.request_id()
        )
        self.compare(
            lambda: self.reference_model.purge(model, reference), lambda: self.calls.models.PurgeModelVersion(request)
        )

    @rule(model=MODELS, reference=REFERENCES, name=NAMES)
    def rename_version(self, model: str, reference: str, name: str) -> None:
        request = model_registry_pb2.UpdateModelVersionRequest(
            model_version=model_pb2.ModelVersion(
                name=f"{PROJECT}/models/{model}/versions/{reference}", version_name=name
            ),
            update_mask=FieldMask(paths=["version_name"]),
            request_id=self.request_id(),
        )
        self.compare(
            lambda: self.reference_model.rename(model, reference, name),
            lambda: self.calls.models.UpdateModelVersion(request),
        )

    @rule(
        model=MODELS,
        reference=REFERENCES,
        key=st.sampled_from("xy"),
        value=st.integers(0, 3),
        step=st.none() | st.integers(0, 3),
    )
    def log_metadata(self, model: str, reference: str, key: str, value: int, step: int | None) -> None:
        request = model_registry_pb2.LogMetadataRequest(
            name=f"{PROJECT}/models/{model}/versions/{reference}", request_id=self.request_id()
        )
        if step is None:
            request.metadata[key].number = value
        else:
            request.points.add(key=key, value=value, step=step)
        self.compare(
            lambda: self.reference_model.log(model, reference, key, value, step),
            lambda: self.calls.models.LogMetadata(request),
        )

    @rule(model=MODELS, reference=REFERENCES)
    def get_version(self, model: str, reference: str) -> None:
        self.compare(lambda: self.reference_model.find(model, reference), lambda: self.calls.version(model, reference))

    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """A repeated request gets its first answer, and has no effect."""
        if self.answered:
            ask, answer = data.draw(st.sampled_from(self.answered))
            revision = self.calls.events()[-1].revision
            assert ask() == answer
            assert self.calls.events()[-1].revision == revision

    @rule(model=MODELS, count=st.integers(2, 12), named=st.booleans())
    def create_at_once(self, model: str, count: int, named: bool) -> None:
        """Concurrent creates have unique names, and numbers without a gap."""
        if model not in self.reference_model.models:
            return
        requests = [
            model_registry_pb2.CreateModelVersionRequest(
                parent=f"{PROJECT}/models/{model}",
                model_version=model_pb2.ModelVersion(version_name=("rc" if named and index % 2 else "")),
            )
            for index in range(count)
        ]
        futures = [self.calls.models.CreateModelVersion.future(request) for request in requests]
        created = sorted(
            (future.result() for future in futures if future.exception() is None), key=lambda version: version.number
        )
        refused = [refusal_of(future.exception()).info.reason for future in futures if future.exception()]
        assert set(refused) <= {"VERSION_NAME_TAKEN"}
        for version in created:
            name = "" if version.version_name.isdigit() else version.version_name
            self.check(version, self.reference_model.create(model, name))
        assert len(created) + len(refused) == count

    # A restart takes as long as all else together, so it is skipped when nothing has changed since the last one.
    @precondition(lambda self: self.revision != self.restarted_at)
    @rule()
    def restart(self) -> None:
        """After a crash the server has the same state."""
        self.restarted_at = self.revision
        self.server.kill()
        self.server.start()

    @invariant()
    def the_server_has_the_state_of_the_model(self) -> None:
        for model, versions in self.reference_model.models.items():
            there = [version for version in versions if not version.deleted]
            self.check_model(self.calls.model(model), len(versions), there)
            found = self.calls.versions(model, page_size=7)
            for message, expected in zip(reversed(found), there, strict=True):
                self.check(message, expected)

    @invariant()
    def the_log_has_the_state_of_the_model(self) -> None:
        """Revisions have no gap, and the last event of each version has its current state."""
        events = self.calls.events()
        assert [event.revision for event in events] == list(range(1, len(events) + 1))
        self.revision = len(events)
        latest: dict[str, event_pb2.Event] = {
            event.model_version.name: event for event in events if event.WhichOneof("resource") == "model_version"
        }
        for model, versions in self.reference_model.models.items():
            for version in versions:
                event = latest[f"{PROJECT}/models/{model}/versions/{version.number}"]
                self.check(event.model_version, version)


budget = int(os.environ.get("TALLYMARK_TEST_EXAMPLES", "12"))
TestRegistry = RegistryMachine.TestCase
TestRegistry.__doc__ = "The server answers as the reference model does, and has the same state, for random commands."
TestRegistry.settings = settings(
    max_examples=budget, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
