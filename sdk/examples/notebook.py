"""A run without decorators, as one works in a notebook: each `# %%` begins a cell.

The block of `tallymark.run` is one run and makes one version. After it, `model` means that version.

It prints:

    Model('diabetes') is number 1 and explains 0.32
    Model('diabetes') is number 2 and explains 0.43
    ModelVersion(diabetes No.2) 0.43
    ModelVersion(diabetes No.1) 0.32
    [{'rate': 0.001}, {'rate': 0.03}]
    ModelVersion(diabetes No.2 staging)
"""

# %%
import tallymark
from sklearn.datasets import load_diabetes
from sklearn.linear_model import SGDRegressor
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from tallymark import Client, Model

model = Model(name="diabetes", description="How far the disease gets in a year")
cases, progress = load_diabetes(return_X_y=True)
known, unknown, known_progress, unknown_progress = train_test_split(cases, progress, random_state=1)
scale = StandardScaler().fit(known)

# %% Train, as often as you like: each time is another version.
for rate in (0.03, 0.001):
    with tallymark.run(model=model, name="explore", parameters={"rate": rate}) as run:
        regressor = SGDRegressor(eta0=rate, learning_rate="constant", random_state=1)
        for epoch in range(20):
            regressor.partial_fit(scale.transform(known), known_progress)
            run.log_metrics(
                {
                    "known": regressor.score(scale.transform(known), known_progress),
                    "unknown": regressor.score(scale.transform(unknown), unknown_progress),
                },
                step=epoch,
            )
        run.save("regressor", regressor)
    print(model, "is number", run.number, "and explains", round(model.metadata["unknown"], 2))

# %% Look at what is there: in a notebook, `client.get_version("diabetes")` alone shows a table.
with Client() as client:
    for version in client.list_versions("diabetes", order_by="metadata.unknown desc"):
        print(version, round(version.metadata["unknown"], 2))
    print([run.parameters for run in client.list_runs()])

# %% The last one is good enough for a trial.
print(model.set_stage("staging", reason="tried by hand"))
