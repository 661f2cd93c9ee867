"""Models, runs and steps: resolve a `Model` to a version, and record what a program does with it.

model_spec            the arguments of a `Model`
version_cache         the versions that a `Model` was resolved to
context               the run, step and model of the code that runs now
resolution            the version that a `Model` means in a run or outside runs
recorder              record the events of one run
heartbeats            heartbeats of the runs of this process
environment           the host, user, commit and command line of a run
steps                 record the start and end of steps
run_lifecycle         start, join and finish runs
run_artifacts         save and use artifacts in runs
metrics_outside_runs  metric points that are logged outside runs
disabled              the versions that a program sees while nothing is recorded
opened_version        the methods of a `ModelVersion`
model_artifacts       the methods of a `Model` about artifacts
model                 `Model`
current               `current_model`, `current_run`, `log_metric` and the like
outputs               the values that steps return as artifacts
call_scope            one call of a decorated function, or one block of `run`
handover              `bind`, and functions that are sent to other processes
decorators            `@step` and `@pipeline`
run_context           `run`
"""
