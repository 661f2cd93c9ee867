"""The token that a program presents: where it comes from, to whom it is sent, and that nothing shows it."""

from __future__ import annotations

import os
import pickle
import stat
from pathlib import Path

import pytest

from tallymark.client.headers import Headers
from tallymark.credentials import checked_token, credentials_path, presenting, store, token_for, token_source
from tallymark.errors import InvalidSetting
from tallymark.settings import adjusted

TOKEN = "tmk_Ab3dEf9h_k" + "s3CrEt" * 8
OTHER = "tmk_Zz3dEf9h_k" + "0tHeR5" * 8
HERE = "127.0.0.1:50051"
THERE = "grpcs://registry.example.com:50051"


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test its own folder for what login keeps, and no token."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("TALLYMARK_TOKEN", "TALLYMARK_TOKEN_FILE", "TALLYMARK_PLAINTEXT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "config"


def test_without_a_token_none_is_sent() -> None:
    """A program without a token calls the service without one."""
    assert token_for(HERE) is None
    assert [name for name, _ in Headers(adjusted(url=HERE)).pairs()] == ["tallymark-actor"]


def test_a_token_is_sent_as_a_bearer_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """The header is the one that every client and proxy knows."""
    monkeypatch.setenv("TALLYMARK_TOKEN", f" {TOKEN}\n")
    assert ("authorization", f"Bearer {TOKEN}") in Headers(adjusted(url=HERE)).pairs()


def test_the_variable_wins_over_the_file_and_both_over_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the three places, the nearest to the program decides; `token_source` says which."""
    store(HERE, TOKEN)
    assert (token_for(HERE), token_source(HERE)) == (TOKEN, credentials_path())
    (tmp_path / "token").write_text(f"{OTHER}\n")
    monkeypatch.setenv("TALLYMARK_TOKEN_FILE", str(tmp_path / "token"))
    assert (token_for(HERE), token_source(HERE)) == (OTHER, "TALLYMARK_TOKEN_FILE")
    monkeypatch.setenv("TALLYMARK_TOKEN", TOKEN)
    assert (token_for(HERE), token_source(HERE)) == (TOKEN, "TALLYMARK_TOKEN")


def test_tokens_are_kept_by_address() -> None:
    """A token is presented to the service that it was kept for, however its address is written, and to no other."""
    store(THERE, TOKEN)
    store(HERE, OTHER)
    assert token_for("https://registry.example.com:50051/") == TOKEN
    assert token_for(HERE) == OTHER
    assert token_for("grpcs://registry.example.com:50052") is None
    assert store(THERE, None)
    assert not store(THERE, None)
    assert (token_for(THERE), token_for(HERE)) == (None, OTHER)


def test_the_file_is_private_and_replaced_as_a_whole(config: Path) -> None:
    """Only its owner can read the file and its folder, and nothing else is left in the folder."""
    before = os.umask(0)
    try:
        store(HERE, TOKEN)
        store(THERE, OTHER)
    finally:
        os.umask(before)
    folder = config / "tallymark"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [(each.name, stat.S_IMODE(each.stat().st_mode)) for each in folder.iterdir()] == [("credentials", 0o600)]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660])
def test_a_file_that_others_can_read_is_refused(mode: int) -> None:
    """Neither are its tokens presented nor is one added, until the command in the refusal was run."""
    store(HERE, TOKEN)
    path = Path(credentials_path())
    path.chmod(mode)
    for attempt in (lambda: token_for(HERE), lambda: store(THERE, OTHER)):
        with pytest.raises(InvalidSetting, match=f"chmod 600 {path}"):
            attempt()
    path.chmod(0o600)
    assert token_for(HERE) == TOKEN


@pytest.mark.parametrize(
    "text", ["token", f'["{HERE}"]\ntoken = {TOKEN}', f'["no address"]\ntoken = "{TOKEN}"', "a = 1"]
)
def test_a_damaged_file_is_refused_without_being_quoted(text: str) -> None:
    """The refusal says what to do, and shows nothing of what is in the file."""
    store(HERE, TOKEN)
    Path(credentials_path()).write_text(text)
    with pytest.raises(InvalidSetting, match="log in again") as refused:
        token_for(HERE)
    assert TOKEN not in str(refused.value)
    assert refused.value.__context__ is None or refused.value.__suppress_context__


def test_a_file_that_is_no_text_is_refused_and_kept() -> None:
    """It is not taken for an empty one, which the next login would write over the tokens of other services."""
    store(HERE, TOKEN)
    path = Path(credentials_path())
    damaged = path.read_bytes().replace(b"token", b"tok\xffen")
    path.write_bytes(damaged)
    for attempt in (lambda: token_for(HERE), lambda: store(THERE, OTHER)):
        with pytest.raises(InvalidSetting, match="log in again"):
            attempt()
    assert path.read_bytes() == damaged


@pytest.mark.parametrize("text", ["", " ", "two words", "é", "a\nb", "\x07", "x" * 13_000])
def test_what_is_no_token_is_refused_without_being_shown(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that no header can have is refused, and the refusal does not show it, since it may be a secret."""
    with pytest.raises(InvalidSetting, match="holds no token") as refused:
        checked_token(text, "the input")
    assert not text.strip() or text not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["registry.example.com:50051", "grpc://10.0.0.8:50051", "192.168.1.5:50051", "[fe80::1]:5"]
)
def test_a_token_is_not_sent_to_another_machine_in_the_clear(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal names TLS and the setting that allows it all the same, and does not show the token."""
    monkeypatch.setenv("TALLYMARK_TOKEN", TOKEN)
    with pytest.raises(InvalidSetting, match="TALLYMARK_PLAINTEXT_TOKEN") as refused:
        token_for(url)
    assert TOKEN not in str(refused.value)
    monkeypatch.setenv("TALLYMARK_PLAINTEXT_TOKEN", "on")
    assert token_for(url) == TOKEN


@pytest.mark.parametrize("url", [HERE, "localhost:1", "[::1]:1", "127.8.8.8:1", "unix:/tmp/s", THERE, "a.localhost:1"])
def test_a_token_is_sent_by_tls_and_within_this_machine(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody else can read it, the token is sent."""
    monkeypatch.setenv("TALLYMARK_TOKEN", TOKEN)
    assert token_for(url) == TOKEN


def test_a_token_is_read_again_when_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that was rotated in its file is found, and one that is still the same is not presented again."""
    (tmp_path / "token").write_text(TOKEN)
    monkeypatch.setenv("TALLYMARK_TOKEN_FILE", str(tmp_path / "token"))
    headers = Headers(adjusted(url=HERE))
    refused = headers.pairs()
    assert not headers.renew(refused)
    (tmp_path / "token").write_text(OTHER)
    assert headers.renew(refused)
    assert ("authorization", f"Bearer {OTHER}") in headers.pairs()


def test_a_rotated_token_counts_for_each_call_whose_own_was_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several calls that were refused together, not only the first presents the new token."""
    (tmp_path / "token").write_text(TOKEN)
    monkeypatch.setenv("TALLYMARK_TOKEN_FILE", str(tmp_path / "token"))
    headers = Headers(adjusted(url=HERE))
    first, second = headers.caller(), headers.caller()
    (tmp_path / "token").write_text(OTHER)
    assert headers.renew(first)
    assert headers.renew(second)
    assert not headers.renew(headers.caller())


def test_a_login_presents_the_token_that_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a token is tried, it wins over the one that is set."""
    monkeypatch.setenv("TALLYMARK_TOKEN", TOKEN)
    with presenting(OTHER):
        assert token_for(HERE) == OTHER
    assert token_for(HERE) == TOKEN


def test_the_settings_do_not_have_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings are shown, compared and sent to other processes, so the token is none of them."""
    monkeypatch.setenv("TALLYMARK_TOKEN", TOKEN)
    settings = adjusted(url=HERE)
    headers = Headers(settings)
    headers.pairs()
    assert TOKEN not in repr(settings) + repr(headers)


@pytest.mark.parametrize("url", ["{}@a.example:1", "grpcs://user:{}@a.example", "https://{}@a.example", "bad,{}@a:1"])
def test_an_address_has_no_token(url: str) -> None:
    """Addresses are shown and recorded, so one with a token is refused, without showing it."""
    with pytest.raises(InvalidSetting, match="tallymark login") as refused:
        adjusted(url=url.format(TOKEN))
    assert TOKEN not in str(refused.value)


def test_a_pickle_of_a_client_does_not_have_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """The headers, which a client keeps between its connections, are sent to other processes without the token."""
    monkeypatch.setenv("TALLYMARK_TOKEN", TOKEN)
    headers = Headers(adjusted(url=HERE))
    pairs = headers.pairs()
    pickled = pickle.dumps(headers)
    assert TOKEN.encode() not in pickled
    assert pickle.loads(pickled).pairs() == pairs
