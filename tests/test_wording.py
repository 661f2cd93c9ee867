"""The check of the wording finds what it is for, and nothing in code."""

from wording import COVERED, EXCEPTIONS, ROOT, files, problems


def test_a_word_is_found_in_comments_and_docstrings_only() -> None:
    """Names and texts of the program may have any word."""
    text = '"""Tells what `tell` does."""\ntold = "asked"  # it stands here\n'
    assert [(number, word) for number, word, _ in problems(text)] == [(2, "stands"), (1, "Tells")]


def test_a_word_is_found_in_texts_for_users() -> None:
    """Errors and help are watched where users read them, also in parts of a text."""
    text = """raise Refused(f"{name} is given; " "ask for it")"""
    assert [word for _, word, _ in problems(text, for_users=True)] == ["is given", "ask for"]


def test_every_place_that_is_watched_exists() -> None:
    """A folder or module that was renamed is still watched."""
    assert [place for place in COVERED if not any(path.exists() for path in files((place,)))] == []


def test_every_exception_is_needed() -> None:
    """An exception goes when its module no longer has the word."""
    for exception in EXCEPTIONS:
        module, word = exception.split(":")
        assert word in [found for _, found, _ in problems((ROOT / module).read_text())], exception
