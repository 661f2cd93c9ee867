"""The tokens that count, and what happens to them while servers run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tallymark_server.access.book import AccessBook
from tallymark_server.access.callers import Caller, CallerKind, Credentials
from tallymark_server.access.chain import Chain, Tokens
from tallymark_server.access.first_token import first_token
from tallymark_server.domain.access import commands as c
from tallymark_server.domain.access.commands import DAY
from tallymark_server.domain.access.state import NEVER
from tallymark_server.domain.access.token_text import RANDOM_BYTES, TokenText, make_token
from tallymark_server.domain.errors import AccessNotFound, LastAdminToken, PermissionDenied, UnknownCaller
from tallymark_server.domain.roles import Role
from tallymark_server.storage.sqlite.access_file import create_access_file, open_access_file

NOW = 1_800_000_000_000_000
DEADLINE = 60.0


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tallymark.access.db"


@pytest.fixture
def root(path: Path) -> TokenText:
    """The first token of an admin, in a new file."""
    token, entries = first_token("root", NEVER, NOW)
    create_access_file(path, entries)
    return token


@pytest.fixture
async def open_book(path: Path, root: TokenText, clock: Clock) -> Callable[[], AccessBook]:
    return lambda: AccessBook(open_access_file(path), clock)


@pytest.fixture
async def book(open_book: Callable[[], AccessBook]) -> AccessBook:
    opened = open_book()
    await opened.start()
    return opened


def drawn(number: int) -> TokenText:
    return make_token(number.to_bytes(6) + bytes(RANDOM_BYTES - 6))


def creation(token: TokenText, name: str = "ci", *, role: Role = Role.READER, project: str = "lab") -> c.CreateToken:
    return c.CreateToken(name=name, token=token, expire_time=NOW + DAY, role=role, projects=(project,))


async def test_the_first_token_may_do_everything(book: AccessBook, root: TokenText) -> None:
    """The token that is made with the file is an admin of all projects, and does not expire."""
    caller = await Chain([Tokens(book)]).caller(Credentials(bearer=root.text))
    assert caller == Caller(name="root", kind=CallerKind.TOKEN, grants={"*": Role.ADMIN})


async def test_a_token_counts_until_it_ends(book: AccessBook, root: TokenText, clock: Clock) -> None:
    """The caller of a token says when it ends; from then on the token is refused."""
    await book.execute(creation(drawn(1)), book.caller_of(root.text))
    caller = book.caller_of(drawn(1).text)
    assert (caller.name, caller.grants, caller.expires) == ("ci", {"lab": Role.READER}, NOW + DAY)
    clock.now = NOW + DAY - 1
    assert book.caller_of(drawn(1).text) == caller
    clock.now += 1
    with pytest.raises(UnknownCaller):
        book.caller_of(drawn(1).text)


async def test_every_refused_token_gets_the_same_answer(book: AccessBook, root: TokenText, clock: Clock) -> None:
    """Unknown, wrong, malformed, expired and revoked tokens look the same, except in the server's log."""
    by = book.caller_of(root.text)
    await book.execute(creation(drawn(1)), by)
    await book.execute(creation(drawn(2), "revoked"), by)
    await book.execute(c.RevokeToken(name="revoked"), by)
    clock.now = NOW + DAY
    wrong = make_token((1).to_bytes(6) + bytes(range(32)))
    texts = [drawn(1).text, drawn(2).text, drawn(3).text, wrong.text, root.text[:-1], root.text + "x", "tmk_é", "tmk_"]
    answers = set()
    with capture_logs() as logs:
        for text in texts:
            with pytest.raises(UnknownCaller) as refused:
                await Chain([Tokens(book)]).caller(Credentials(bearer=text))
            answers.add((str(refused.value), str(refused.value.metadata)))
    assert len(answers) == 1
    assert {entry["why"] for entry in logs} == {"expired", "unknown", "wrong secret", "malformed"}
    assert not any(text in str(logs) for text in texts[:4])


async def test_guesses_do_not_fill_the_log(book: AccessBook) -> None:
    """However many tokens are refused, only so many are logged until the next pause."""
    with capture_logs() as logs:
        for number in range(1000):
            with suppress(UnknownCaller):
                book.caller_of(drawn(number).text)
    assert len(logs) == 100


async def test_what_another_process_revokes_counts_no_longer(
    book: AccessBook, open_book: Callable[[], AccessBook], root: TokenText
) -> None:
    """A token that one server revokes is refused by another once that has read the log, and `generation` rises."""
    other = open_book()
    await other.start()
    await book.execute(creation(drawn(1)), book.caller_of(root.text))
    await other.refresh()
    assert other.caller_of(drawn(1).text).name == "ci"
    before = other.generation
    await book.execute(c.RevokeToken(name="ci"), book.caller_of(root.text))
    await other.refresh()
    assert other.generation > before
    with pytest.raises(UnknownCaller):
        other.caller_of(drawn(1).text)


async def test_a_running_book_reads_what_others_write(
    book: AccessBook, open_book: Callable[[], AccessBook], root: TokenText
) -> None:
    """By itself, a book notices what another process has changed."""
    other = open_book()
    await other.start()
    serving = asyncio.create_task(other.serve())
    await book.execute(creation(drawn(1)), book.caller_of(root.text))
    async with asyncio.timeout(DEADLINE):
        while "ci" not in other.state.tokens:  # noqa: ASYNC110 - nothing announces what it waits for
            await asyncio.sleep(0)
    serving.cancel()


async def test_two_processes_do_not_lose_the_last_admin_token_together(
    book: AccessBook, open_book: Callable[[], AccessBook], root: TokenText
) -> None:
    """When two servers revoke the last two admin tokens at the same time, one of them is refused."""
    by = book.caller_of(root.text)
    await book.execute(creation(drawn(1), "second", role=Role.ADMIN, project="*"), by)
    other = open_book()
    await other.start()
    revoked = await asyncio.gather(
        book.execute(c.RevokeToken(name="root"), by),
        other.execute(c.RevokeToken(name="second"), by),
        return_exceptions=True,
    )
    assert [type(each) for each in revoked if isinstance(each, Exception)] in ([LastAdminToken], [AccessNotFound])
    await book.refresh()
    assert len(book.state.tokens) == 1


async def test_concurrent_changes_are_all_made(open_book: Callable[[], AccessBook], root: TokenText) -> None:
    """Changes of several processes at once follow each other, and none is lost."""
    books = [open_book() for _ in range(3)]
    for each in books:
        await each.start()
    by = books[0].caller_of(root.text)
    await asyncio.gather(
        *(each.execute(creation(drawn(10 * n + m), f"t-{n}-{m}"), by) for n, each in enumerate(books) for m in range(5))
    )
    await books[0].refresh()
    assert len(books[0].state.tokens) == 16


async def test_an_admin_whose_role_was_removed_decides_nothing(book: AccessBook, root: TokenText) -> None:
    """What a caller may decide is looked up when it decides, not when it was recognised."""
    by_root = book.caller_of(root.text)
    await book.execute(creation(drawn(1), "second", role=Role.ADMIN, project="*"), by_root)
    second = book.caller_of(drawn(1).text)
    await book.execute(c.RevokeToken(name="second"), by_root)
    with pytest.raises(PermissionDenied):
        await book.execute(creation(drawn(2)), second)


async def test_the_day_of_the_last_use_is_kept(
    book: AccessBook, open_book: Callable[[], AccessBook], root: TokenText
) -> None:
    """The last day on which a token was used is known after a restart too."""
    token = book.state.tokens["root"]
    assert book.last_use(token) is None
    book.caller_of(root.text)
    assert book.last_use(token) == NOW // DAY
    await book.store_uses()
    again = open_book()
    await again.start()
    assert again.last_use(token) == NOW // DAY


async def test_credentials_of_no_kind_are_refused(book: AccessBook) -> None:
    """The refusal of a call without credentials says that it has none, and that of another that they are not valid."""
    chain = Chain([Tokens(book)])
    for credentials in (Credentials(), Credentials(bearer="a.b.c"), Credentials(session="x")):
        with pytest.raises(UnknownCaller):
            await chain.caller(credentials)
