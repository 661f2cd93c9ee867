"""What counts as a secret, and that no secret leaves the process."""

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path

import pydantic
import pytest

from tallymark import Client, Model, configure, pipeline, settings, step
from tallymark.conversion.convert import Conversion
from tallymark.conversion.vocabulary import PARAMETERS
from tallymark.errors import InvalidSetting
from tallymark.conversion.problems import RecordingProblems
from tallymark.conversion.recordable import parameters
from tallymark.conversion.redaction import REDACTED, redacted_command, redacted_error, redacted_text
from tallymark.conversion.secrecy import Secrecy, secrecy_of, secrecy_of_type
from tallymark.testing import Server

SECRET = """
password passwd PWD my_pwd db_password DBPassword PGPASSWORD MYSQL_PWD db_pass passphrase user.password smtp-password
secret client_secret clientSecret login_secret secrets signing_key credentials aws_credential creds private_key ssh_key
api_key apiKey APIKey x-api-key apikey OPENAI_API_KEY openai_key access_key aws_secret_access_key AWS_ACCESS_KEY_ID
connection_string connectionString conn_str dsn
my_pass userpass db_pass dbpass new_pass pin user_pin PIN pinCode
"""
SECRET_TEXT = """
token hf_token HFToken auth_token accessToken id_token bearer bearer_token refresh_token github_token oauth2_token
session_cookie OAuthToken tokens token_id auth authorization Authorization basic_auth auth_header cookie cookies jwt
pass wifi_pass pin.pass
"""
NO_SECRET = """
tokenizer tokenizer_name tokenized detokenize tokenization subtoken max_tokens num_tokens n_tokens maxTokens pad_token
max_new_tokens eos_token pad_token_id eos_token_id special_tokens token_type token_type_ids tokens_per_batch token_count
token_embedding_dim max_token_length stop_tokens author authors author_email authored auth_type auth_method authority
keys primary_key num_key_value_heads key_dim sort_key cache_key public_key random_key monkey keyboard hotkey n_key
password_length passes n_passes first_pass forward_pass bypass passthrough compass secretary lr learning_rate depth path
data pass_rate lowpass pin_memory spin pinned token_pattern token_healing tokens_seen first_token
num_virtual_tokens token_merge_ratio
"""


SECRET_IF_RANDOM = "key my_key myKey"


@pytest.mark.parametrize(
    ("names", "secrecy"),
    [
        (SECRET, Secrecy.ALL),
        (SECRET_TEXT, Secrecy.TEXT),
        (SECRET_IF_RANDOM, Secrecy.RANDOM),
        (NO_SECRET, Secrecy.NONE),
    ],
)
def test_names_mark_secrets(names: str, secrecy: Secrecy) -> None:
    """They do so in any case and as a part, but not if a word only begins alike, or belongs to a tokenizer."""
    assert {name: secrecy_of(name) for name in names.split()} == dict.fromkeys(names.split(), secrecy)


def test_values_with_a_secret_name_are_redacted() -> None:
    """Texts, numbers and nested values are redacted; None, flags and fractions, such as a recall, are not."""
    shown = {"password": None, "use_auth": True, "secret_recall": 0.93, "token": 5, "auth_retries": 3, "auth_f1": 0.5}
    assert parameters(shown) == shown
    hidden = {"password": 1234, "api_key": "k", "auth": {"user": "ana", "n": 1}, "token": ["a", 7], "secret": [0.5]}
    assert parameters(hidden) == {
        "password": REDACTED,
        "api_key": REDACTED,
        "auth": {"user": REDACTED, "n": 1},
        "token": [REDACTED, 7],
        "secret": REDACTED,
    }


def test_a_key_is_redacted_only_if_it_looks_random() -> None:
    """Numbers, words and paths under `key` are kept."""
    shown = {
        "key": "customer_id",
        "my_key": 5,
        "primary_key": "8f3a9c0d1e2b4a5f6c7d",
        "sort": {"key": "models/2024/a.pkl"},
    }
    assert parameters(shown) == shown
    assert parameters({"key": "8f3a9c0d1e2b4a5f6c7d", "my_key": ["x", 1]}) == {"key": REDACTED, "my_key": ["x", 1]}


def test_the_working_folder_is_not_a_password() -> None:
    """The variable PWD is a path; any other pwd is a password."""
    shown = {"PWD": "/home/ana/work"}
    assert parameters({"environment": shown}) == {"environment": shown}
    assert parameters({"PWD": "hunter2", "pwd": "/hunter2"}) == {"PWD": REDACTED, "pwd": REDACTED}
    assert redacted_command(["PWD=/home/ana", "pwd=hunter2"]) == "PWD=/home/ana pwd=[redacted]"


def test_secrets_in_argument_lists_and_pairs_are_redacted() -> None:
    """That is the argument after a flag, and the second of a pair whose first is a secret name."""
    argv = ["x", "--password", "hunter2", "--token=hun ter2", "--lr", "0.1", "--pin", 1234, "--use-auth", "--depth", 3]
    hidden = ["x", "--password", REDACTED, f"--token={REDACTED}", "--lr", "0.1", "--pin", REDACTED, *argv[8:]]
    headers = [("Authorization", "hunter2"), ["X-Api-Key", "hunter2"], ("accept", "json"), ("use_auth", True)]
    values = {"argv": argv, "again": (tuple(argv),), "headers": headers, "columns": ["token", "label"]}
    assert parameters(values) == {
        "argv": hidden,
        "again": [hidden],
        "headers": [["Authorization", REDACTED], ["X-Api-Key", REDACTED], ["accept", "json"], ["use_auth", True]],
        "columns": ["token", "label"],
    }
    assert parameters({"argv": ["curl", "-u", "ana:hunter2"]}) == {"argv": ["curl", "-u", "ana:[redacted]"]}
    assert parameters({"argv": ["/bin/mysql", "-phunter2"]}) == {"argv": ["/bin/mysql", "-p[redacted]"]}
    assert parameters({"argv": ["cp", "-p", "file"]}) == {"argv": ["cp", "-p", "file"]}


def test_prefixes_of_secrets_in_errors_are_redacted() -> None:
    """An error that shortens a redacted argument does not show its beginning."""
    parameters({"password": "zebra-crossing-42", "argv": ["--token", "quokka-9000-x"]})
    assert (
        redacted_error("no login with 'zebra-cros...' or zebra-crossing-42")
        == "no login with '[redacted]...' or [redacted]"
    )
    assert redacted_error("quokka-9 is refused, zebra is not") == "[redacted] is refused, zebra is not"


class SecretText(str):
    __slots__ = ()


class AuthConfig(pydantic.BaseModel):
    user: str = "ana"


@dataclasses.dataclass
class Database:
    host: str = "db"
    password: str = "hunter2"


def test_types_mark_secrets() -> None:
    """The contents of types of pydantic and others with secret names are redacted at any depth."""
    values = [pydantic.SecretStr("hunter2"), pydantic.SecretBytes(b"hunter2"), SecretText("hunter2"), AuthConfig()]
    assert Conversion(PARAMETERS, redacts=True).value({"values": values}) == {
        "values": [*[REDACTED] * 3, {"user": REDACTED}]
    }
    assert parameters({"config": {"database": Database()}}) == {
        "config": {"database": {"host": "db", "password": REDACTED}}
    }
    assert secrecy_of_type(Model) is Secrecy.NONE


TEXTS = {
    "postgresql://user:hunter2@host/db": "postgresql://user:[redacted]@host/db",
    "redis://:hunter2@host:6379/0": "redis://:[redacted]@host:6379/0",
    "mysql://u:hun/ter@2:1@host/db": "mysql://u:[redacted]@host/db",
    "see http://host:8080/path@1 there": "see http://host:8080/path@1 there",
    "https://host/path?token=hunter2&page=1": "https://host/path?token=[redacted]&page=1",
    "https://ghp_abcdefghij1234567890@github.com/x": "https://[redacted]@github.com/x",
    "cannot log in: password=hunter2, user=ana": "cannot log in: password=[redacted], user=ana",
    "{'password': 'hunter2', 'max_tokens': 512}": "{'password': '[redacted]', 'max_tokens': 512}",
    '{"api_key": "hunter2"}': '{"api_key": "[redacted]"}',
    "Server=db;Password=hunter2;User=ana": "Server=db;Password=[redacted];User=ana",
    "Authorization: Bearer hunter2hunter2": "Authorization: [redacted]",
    "wrong password 'hunter2'": "wrong password '[redacted]'",
    "Unexpected token: ')' at 5": "Unexpected token: ')' at 5",
    "auth_f1=0.93 loss=0.1": "auth_f1=0.93 loss=0.1",
    "of sk-abcdefghijkl12345678": "of [redacted]",
    "AKIAABCDEFGHIJKLMNOP": "[redacted]",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc": "[redacted]",
    "tmk_abcdefgh1234": "[redacted]",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nrest": "[redacted]\nrest",
    "Command '['x', '--password', 'hunter2']' returned 1": "Command '['x', '--password', '[redacted]']' returned 1",
    """Command '['x', '--password', "hun'ter2"]'""": """Command '['x', '--password', "[redacted]"]'""",
    "[b'x', b'--token', b'hunter2']": "[b'x', b'--token', '[redacted]']",
    """['sh', '-c', 'x --pass "hunter2" -v']""": """['sh', '-c', 'x --pass "[redacted]" -v']""",
    "['--password=hun ter2', 'x']": "['--password=[redacted]', 'x']",
    "prog --password hunter2 --token x --pass y": "prog --password [redacted] --token [redacted] --pass [redacted]",
    "prog --password 'hun ter2' -v": "prog --password '[redacted]' -v",
    "prog --api-key hun,ter2;x": "prog --api-key [redacted]",
    "x --no-password x --max-tokens 5 --use-auth --lr 1": "x --no-password x --max-tokens 5 --use-auth --lr 1",
    "usage: x [--password PASSWORD] [--lr LR]": "usage: x [--password PASSWORD] [--lr LR]",
    "--password is required": "--password is required",
    "curl -u ana:hunter2 https://host": "curl -u ana:[redacted] https://host",
    "['curl', '--user', 'ana:hunter2']": "['curl', '--user', 'ana:[redacted]']",
    "docker run -u 1000:1000 x": "docker run -u 1000:1000 x",
    "mysql -u root -p hunter2 db": "mysql -u root -p [redacted] db",
    "/usr/bin/mysqldump -phunter!2 db": "/usr/bin/mysqldump -p[redacted] db",
    "['sshpass', '-p', 'hunter2']": "['sshpass', '-p', '[redacted]']",
    "docker login -u ana -p hunter2": "docker login -u ana -p [redacted]",
    "docker run -p 8080:80 x; cp -p a b": "docker run -p 8080:80 x; cp -p a b",
    "Authorization: Basic aHVudGVyMjp4": "Authorization: [redacted]",
    "401 for Basic YW5hOmh1bnRlcjI=": "401 for Basic [redacted]",
    "Basic training of Basic research": "Basic training of Basic research",
    "[('Authorization', 'hunter2'), ('a', 'b')]": "[('Authorization', '[redacted]'), ('a', 'b')]",
    "[['token', 'hunter2'], ['pin', '1234']]": "[['token', '[redacted]'], ['pin', '[redacted]']]",
    "\"['token', 'label'] not in index\"": "\"['token', 'label'] not in index\"",
    'says "{\\"password\\": \\"hunter2\\"}"': 'says "{\\"password\\": \\"[redacted]\\"}"',
    "https://a.b/c?sig=hunter2&x=1": "https://a.b/c?sig=[redacted]&x=1",
    "https://a.b/c?x=1&X-Amz-Signature=hunter2": "https://a.b/c?x=1&X-Amz-Signature=[redacted]",
    "/c?code=hunter2&signature=hunter2#x": "/c?code=[redacted]&signature=[redacted]#x",
    "https://a.b/c?access_token=hunter2&state=1": "https://a.b/c?access_token=[redacted]&state=1",
    "https://a.b/c?key=hunter2&page=key": "https://a.b/c?key=[redacted]&page=key",
    "x --password      hunter2": "x --password      [redacted]",
    "mysql -uroot -p'hun ter2' db": "mysql -uroot -p'[redacted]' db",
    "['mysql', '-p']": "['mysql', '-p']",
    "curl -uana:hunter2 x": "curl -uana:[redacted] x",
    "['--password' 'hunter2']": "['--password' '[redacted]']",
    "pass: hunter2": "pass: [redacted]",
    "['-H', 'Cookie: sid=hunter2; a=b']": "['-H', 'Cookie: [redacted]']",
    "PWD=/home/ana HOME=/home/ana": "PWD=/home/ana HOME=/home/ana",
    "{'PWD': '/home/ana', 'pwd': '/hunter2'}": "{'PWD': '/home/ana', 'pwd': '[redacted]'}",
    "UID=sa;PWD=/hunter2;x": "UID=sa;PWD=[redacted];x",
    "pass=hunter2 key=customer pin=1234": "pass=[redacted] key=customer pin=[redacted]",
    "pass: 3, key=8f3a9c0d1e2b4a5f6c7d": "pass: 3, key=[redacted]",
    "a disk-based-risk-assessment of 2024-01-01": "a disk-based-risk-assessment of 2024-01-01",
}


@pytest.mark.parametrize("text", TEXTS)
def test_secrets_in_texts_are_redacted(text: str) -> None:
    """That includes passwords in URLs, values with secret names, and well-known tokens, but nothing else."""
    assert redacted_text(text) == TEXTS[text]
    assert redacted_text(TEXTS[text]) == TEXTS[text]


def test_secrets_in_command_lines_are_redacted() -> None:
    """That includes arguments of flags, variables, and settings with dots."""
    arguments = [
        *("python", "train.py", "--password", "hunter2", "--api-key=hunter2", "HF_TOKEN=hunter2", "-pwd", "-h2"),
        *("db.password=hunter2", "--max-tokens", "512", "--name", "a b", "--url=postgres://u:hunter2@h"),
    ]
    assert redacted_command(arguments) == (
        "python train.py --password [redacted] --api-key=[redacted] HF_TOKEN=[redacted] -pwd [redacted]"
        " db.password=[redacted] --max-tokens 512 --name 'a b' --url=postgres://u:[redacted]@h"
    )
    assert len(redacted_command(["x" * 5000] * 100)) < 20_000


@pytest.mark.parametrize(
    "part",
    [
        "a",
        "://a:",
        "a=b ",
        "a: ",
        "eyJ",
        "-----BEGIN PRIVATE KEY-----",
        " ",
        "password=",
        "='\"",
        "sk-",
        "é",
        "-",
        "--password ",
        "mysql ",
        "mysql -p ",
        "&",
        "&sig=",
        "'--token', ",
        "Basic ",
        "('token', ",
    ],
)
def test_redaction_takes_linear_time(part: str) -> None:
    """That is so for the longest texts, whatever they repeat."""
    text = (part * 60_000)[:60_000]
    begun = time.process_time()
    redacted_text(text)
    assert time.process_time() - begun < 2


PROGRAM = """
import dataclasses, os, sys, pydantic
from tallymark import Model, current_model, log_metadata, pipeline, step

@dataclasses.dataclass
class Config:
    url: str = "postgresql://ana:hunter2@db/x"
    secret: pydantic.SecretStr = pydantic.SecretStr("hunter2")

@step
def fit(api_key, headers, argv):
    log_metadata({"auth": "hunter2", "config": Config(), "note": "token=hunter2", "lr": 0.1})
    log_metadata({"http://a:hunter2@b": 1})
    current_model().log_metadata({"nested": [{"deep": {"db_password": "hunter2"}}]})
    log_metadata({"argv": argv, "text": "x -v --password hunter2", "pairs": [("token", "hunter2")]})
    raise ValueError("hunter2 was refused: postgresql://ana:hunter2@db (password='hunter2') by " + str(argv))

@pipeline(model=Model("churn"))
def train(df, password, config=Config(), d={"lr": .1, "token": "hunter2"}, **kw):
    fit("hunter2", headers={"Authorization": "Bearer hunter2"}, argv=["x", "--password", "hunter2"])

if os.environ.get("TALLYMARK_MODE") != "offline":
    Model("outside", version="1.0").log_metadata({"password": "hunter2"})
train([1], "hunter2", foo=3, cookie="hunter2")
"""


def trained(server: Server, tmp_path: Path, **environment: str) -> None:
    """Run the program, which has a secret, and check that neither its log nor its files contain it."""
    (tmp_path / "train.py").write_text(PROGRAM)
    environment |= {
        **os.environ,
        "TALLYMARK_URL": server.address,
        "TALLYMARK_RUN_URL": "https://ana:hunter2@ci/run?token=hunter2",
    }
    command = [sys.executable, "train.py", "--password", "hunter2", "--token=hunter2", "DB_PASSWORD=hunter2"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "was refused" in done.stderr, "the user's own traceback is the user's"
    logged = [line for line in done.stderr.splitlines() if "tallymark" in line and "hunter2" in line]
    assert logged == []
    (tmp_path / "train.py").unlink()
    assert files_with_the_secret(tmp_path) == set()


def files_with_the_secret(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()}


def test_journals_contain_no_secret(server: Server, tmp_path: Path, spool: Path) -> None:
    """The records that wait on disk have `[redacted]` instead."""
    trained(server, tmp_path, TALLYMARK_MODE="offline")
    kept = b"".join(path.read_bytes() for path in spool.rglob("*") if path.is_file())
    assert kept.count(b"[redacted]") > 10


def test_a_secret_leaves_the_process_nowhere(server: Server, tmp_path: Path) -> None:
    """A secret in parameters, metadata, an error, the command line and a URL is in no file, database or log."""
    trained(server, tmp_path)
    with Client(server.address) as client:
        (run,) = client.list_runs()
        steps = list(client.list_steps(run.id))
        version = client.get_version("churn")
        assert dict(client.get_version("outside").metadata) == {"password": REDACTED}
    server.stop()
    assert b"[redacted]" in server.db.read_bytes()
    assert files_with_the_secret(tmp_path) == set()
    assert run.parameters == {
        "df": [1],
        "password": REDACTED,
        "config": {"url": "postgresql://ana:[redacted]@db/x", "secret": REDACTED},
        "d": {"lr": 0.1, "token": REDACTED},
        "kw": {"foo": 3, "cookie": REDACTED},
    }
    assert run.url == "https://ana:[redacted]@ci/run?token=[redacted]"
    assert run.command.endswith("train.py --password [redacted] --token=[redacted] DB_PASSWORD=[redacted]")
    assert steps[0].parameters == {
        "api_key": REDACTED,
        "headers": {"Authorization": REDACTED},
        "argv": ["x", "--password", REDACTED],
    }
    assert run.error.startswith("step fit: ValueError: [redacted] was refused: postgresql://ana:[redacted]@db (pass")
    assert steps[0].error in run.error
    assert version.metadata["lr"] == 0.1


def test_recording_problems_contain_no_secrets() -> None:
    """Their texts may contain URLs and values that were redacted elsewhere."""
    parameters({"password": "correct horse"})
    problems = RecordingProblems()
    problems.add("artifact 'clf'", "sftp://ana:hunter2@store is away, and 'correct horse' is no help")
    assert problems.summary().endswith(": sftp://ana:[redacted]@store is away, and '[redacted]' is no help")


@pytest.mark.usefixtures("registry_env")
def test_parameters_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """With TALLYMARK_PARAMETERS=off, or with configure, runs and steps have no parameters."""
    monkeypatch.setattr(settings, "_arguments", {})

    @step
    def fit(lr: float) -> None: ...

    @pipeline
    def train(lr: float) -> None:
        fit(lr)

    train(0.1)
    monkeypatch.setenv("TALLYMARK_PARAMETERS", "off")
    train(0.2)
    configure(parameters="on")
    train(0.3)
    with Client() as client:
        runs = list(client.list_runs())
        told = [(run.parameters, next(client.list_steps(run.id)).parameters) for run in runs]
    assert told == [({"lr": 0.3}, {"lr": 0.3}), ({}, {}), ({"lr": 0.1}, {"lr": 0.1})]
    with pytest.raises(InvalidSetting, match="on, off"):
        configure(parameters="some")
