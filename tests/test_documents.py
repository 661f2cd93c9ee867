"""The texts for people: each link leads somewhere."""

from __future__ import annotations

import pytest

from documents import ADDRESS, broken, documents, links

DOCUMENTS = documents()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_link_leads_to_a_file_and_an_anchor_that_exist(document: str) -> None:
    """A reader who follows a link inside the repository arrives at the file, and at the heading in it."""
    assert broken(document) == []


def test_there_are_links_to_check() -> None:
    """The README and each guide link to others, so the check above has something to find."""
    assert {"README.md", "protos/README.md", "sdk/README.md"} <= set(DOCUMENTS)
    assert all(links(document) for document in ("README.md", "protos/README.md", "sdk/README.md"))


def test_a_link_that_leads_nowhere_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing file, a missing heading and a file outside of the repository are each reported."""
    text = f"# One\n[a](gone.md) [b](#one) [c](#two) [d](../../x) [e]({ADDRESS}/blob/main/gone) [f](https://x.example)"
    monkeypatch.setattr("documents.read", lambda document: text)
    assert broken("README.md") == ["gone.md", "#two", "../../x", f"{ADDRESS}/blob/main/gone"]
