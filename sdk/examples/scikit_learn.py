"""Train a classifier three times, keep every version, and put the best into production.

Each call of the pipeline is a run and makes the next version of the model. What `train` returns is saved as that
version's artifact, and what is logged in between is recorded in it.

It prints:

    number 1: 1 trees of depth 1 are right in 58%
    number 2: 50 trees of depth 3 are right in 97%
    number 3: 5 trees of depth 2 are right in 88%
    ModelVersion(iris No.2 production)
    the flower is of kind 2
"""

from typing import Annotated

from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from tallymark import Artifact, Client, Model, log_metadata, pipeline, step

model = Model(name="iris", description="Recognizes three kinds of iris by four lengths")


@step
def load():
    flowers = load_iris()
    return train_test_split(flowers.data, flowers.target, test_size=0.4, random_state=1)


@step
def train(flowers, kinds, trees: int, depth: int) -> Annotated[RandomForestClassifier, Artifact("forest")]:
    forest = RandomForestClassifier(n_estimators=trees, max_depth=depth, random_state=1).fit(flowers, kinds)
    log_metadata(forest.get_params())
    return forest


@step
def evaluate(forest: RandomForestClassifier, flowers, kinds) -> float:
    accuracy = accuracy_score(kinds, forest.predict(flowers))
    log_metadata({"accuracy": accuracy})
    return accuracy


@pipeline(model=model)
def training(trees: int, depth: int) -> float:
    known, unknown, known_kinds, unknown_kinds = load()
    forest = train(known, known_kinds, trees, depth)
    return evaluate(forest, unknown, unknown_kinds)


if __name__ == "__main__":
    for trees, depth in ((1, 1), (50, 3), (5, 2)):
        accuracy = training(trees, depth)
        print(f"number {model.number}: {trees} trees of depth {depth} are right in {accuracy:.0%}")

    with Client() as client:
        best = next(client.list_versions("iris", order_by="metadata.accuracy desc"))
    print(best.set_stage("production", force=True, reason="the most accurate"))

    forest = Model(name="iris", version="production").load("forest")
    print("the flower is of kind", forest.predict([[6.3, 3.3, 6.0, 2.5]])[0])
