"""Models, runs and steps: what a program means by a `Model`, and what is recorded while it runs.

model_spec            what a `Model` is given
version_cache         what it was found to mean
context               which run, step and model the code that runs now belongs to
resolution            which version a model means at one place of a program
recorder              what is recorded in a run
heartbeats            signs of life of the runs of this process
environment           where and with what a run runs
steps                 steps, recorded as they start and end
run_lifecycle         runs are started, joined and finished
run_artifacts         artifacts that are saved and used in runs
metrics_outside_runs  points of metrics that are logged outside runs
disabled              what a program sees while nothing is recorded
opened_version        what carries out the methods of a `ModelVersion`
model_artifacts       the methods of a `Model` about artifacts
model                 `Model`
current               `current_model`, `current_run`, `log_metric` and the like
outputs               what steps return as artifacts
call_scope            one call of a decorated function, or one block of `run`
handover              `bind`, and functions that are sent to other processes
decorators            `@step` and `@pipeline`
run_context           `run`
"""
