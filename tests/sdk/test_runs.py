"""Runs and values through both clients."""

from __future__ import annotations

from typing import Any


def test_none_and_digits_beyond_64_bits_are_kept(client: Any) -> None:
    """None is a value of its own kind, also in lists and mappings, and what 64 bits do not hold is kept as text."""
    client.create_model("churn")
    written = {"none": None, "list": [None, 2**53 + 1], "map": {"depth": None}, "long": 10**400}
    found = dict(client.create_version("churn", metadata=written).metadata)
    assert found == {**written, "long": "1" + "0" * 400}
    assert client.get_version("churn/1").metadata == found
    client.create_version("churn", metadata={"none": "text"})
    numbers = [version.number for version in client.list_versions("churn", filter="metadata.none = null")]
    assert numbers == [1]
