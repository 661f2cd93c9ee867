"""What the demos train, and what they do with the versions."""

from __future__ import annotations

from collections.abc import Sequence

from tallymark import Client, ModelVersion

# The trees and the depth of each forest, from the least accurate to the most accurate.
FOREST_SIZES = ((1, 1), (5, 2), (25, 4), (100, 8))
MODEL = "breast_cancer"


def promote_best(client: Client) -> ModelVersion:
    """Promote the version with the highest AUC to production, replacing the one that is in production."""
    best = next(iter(client.list_versions(MODEL, order_by="metadata.auc desc, number")))
    return client.set_stage(best.resource_name, "production", force=True, reason="the highest AUC")


def print_versions(client: Client) -> None:
    """Print every version of the model as a table."""
    print(f"{'NUMBER':>6}  {'NAME':<8} {'TREES':>5} {'DEPTH':>5} {'AUC':>7} {'ACCURACY':>8}  {'STAGE':<10}  RUN")
    for version in sorted(client.list_versions(MODEL), key=lambda version: version.number):
        facts = version.metadata
        print(
            f"{version.number:>6}  {version.name:<8} {facts['trees']:>5} {facts['depth']:>5}"
            f" {facts['auc']:>7.4f} {facts['accuracy']:>8.4f}  {version.stage.value:<10}  {version.run}"
        )


def train(sizes: Sequence[tuple[int, int]]) -> None:
    """Train a forest of each size, and print how accurate it is."""
    # Imported late, since importing scikit-learn takes seconds.
    from demo.training import training_pipeline

    for trees, depth in sizes:
        auc = training_pipeline(trees, depth)
        print(f"trained a random forest, trees={trees} depth={depth}: AUC {auc:.4f}")


def conclude() -> None:
    """Promote the best version, and print all of them."""
    print()
    with Client() as client:
        best = promote_best(client)
        print_versions(client)
        (forest,) = client.list_artifacts(best.resource_name)
        print(f"\nVersion {best.number} is in production. Its model file: {forest.uri} ({forest.size:,} bytes)")
