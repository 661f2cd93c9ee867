"""Log what LightGBM measures in each round of boosting, and keep the trees.

A callback of LightGBM is called after each round with what was measured. `log_metric` only writes it to a file, and the
file is sent in the background, so that the training does not wait. Keras, Lightning, XGBoost and transformers have
callbacks of the same kind.

It prints:

    ModelVersion(tumours No.1)
    30 rounds, from 0.946 to 0.984
    the first case is benign with a probability of 0.08
"""

import lightgbm
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from tallymark import Client, Model, log_metadata, log_metric, pipeline

model = Model(name="tumours", description="Separates malignant from benign tumours")


def log_round(env: lightgbm.callback.CallbackEnv) -> None:
    for data, metric, value, _ in env.evaluation_result_list:
        log_metric(f"{data}_{metric}", value, step=env.iteration)


@pipeline(model=model)
def training(parameters: dict) -> None:
    cases, labels = load_breast_cancer(return_X_y=True)
    known, unknown, known_labels, unknown_labels = train_test_split(cases, labels, random_state=1)
    data = lightgbm.Dataset(known, known_labels)
    booster = lightgbm.train(
        parameters,
        data,
        num_boost_round=30,
        valid_sets=[lightgbm.Dataset(unknown, unknown_labels, reference=data)],
        valid_names=["unknown"],
        callbacks=[log_round],
    )
    log_metadata({"trees": booster.num_trees()})
    model.save("booster", booster)


if __name__ == "__main__":
    training({"objective": "binary", "metric": "auc", "num_leaves": 7, "verbose": -1, "num_threads": 1})

    print(model.info)
    with Client() as client:
        points = list(client.list_metrics(f"tumours/{model.number}", "unknown_auc"))
    print(f"{len(points)} rounds, from {points[0].value:.3f} to {points[-1].value:.3f}")

    booster = model.load("booster")
    cases, labels = load_breast_cancer(return_X_y=True)
    print(f"the first case is benign with a probability of {booster.predict(cases[:1])[0]:.2f}")
