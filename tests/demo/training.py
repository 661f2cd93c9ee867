"""A training script as a user writes it: two decorators record everything about versions."""

from __future__ import annotations

from typing import Annotated

from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split

from tallymark import Artifact, Model, log_metadata, pipeline, step

model = Model(name="breast_cancer", description="Tells malignant from benign tumours", license="Apache-2.0")


@step
def split_data():
    """Load and split the Wisconsin data set that comes with scikit-learn: 569 cases with 30 measurements each."""
    data = load_breast_cancer()
    return train_test_split(data.data, data.target, test_size=0.3, random_state=7, stratify=data.target)


@step
def train_forest(cases, labels, trees: int, depth: int) -> Annotated[RandomForestClassifier, Artifact("forest")]:
    log_metadata({"trees": trees, "depth": depth})
    return RandomForestClassifier(n_estimators=trees, max_depth=depth, random_state=7).fit(cases, labels)


@step
def evaluate(classifier: RandomForestClassifier, cases, labels) -> float:
    auc = roc_auc_score(labels, classifier.predict_proba(cases)[:, 1])
    log_metadata({"auc": auc, "accuracy": accuracy_score(labels, classifier.predict(cases))})
    return auc


@pipeline(model=model)
def training_pipeline(trees: int, depth: int) -> float:
    train_cases, test_cases, train_labels, test_labels = split_data()
    classifier = train_forest(train_cases, train_labels, trees, depth)
    return evaluate(classifier, test_cases, test_labels)
