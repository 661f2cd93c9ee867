"""Secrets are replaced by `[redacted]` before they leave the process.

What says secret, in a name of any case (`api_key`, `apiKey`, `API-KEY`, `DB_PASSWORD`), whole or as a part:

- password, passwd, pwd, passphrase, secret, credential, private/secret/access/api/... key, connection string, dsn: the
  value is redacted, whatever it is, but for None, True, False and fractions such as a recall of 0.93
- auth, authorization, oauth, bearer, cookie, jwt, session id, token: text is redacted, numbers are kept
- words of tokenizers are no secrets: tokenizer, max_tokens, num_tokens, pad_token, eos_token_id, special_tokens;
  neither are author, auth_type, password_length and others that describe a secret rather than hold it

In every text: passwords in URLs, `name=value` where the name says secret, and the shapes of well-known tokens. Where in
doubt, the value is redacted.
"""

from __future__ import annotations

import enum
import functools
import re
import shlex
from collections.abc import Sequence

REDACTED = "[redacted]"
MAX_ARGUMENT = 1_000
MAX_COMMAND = 10_000


# The secrets that this process was seen to have, which its errors may repeat without saying what they are.
_seen: set[str] = set()
_MOST_SEEN = 1_000


class Secrecy(enum.Enum):
    """What a name says of its value."""

    NONE = "none"
    # Text is secret, numbers are not: of an authentication or a token, a number is a count, a time or a share.
    TEXT = "text"
    ALL = "all"


_WORDS = re.compile(r"[^\W\d_]+|\d+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_LONGEST_NAME = 300

# Secret wherever they stand in a word: PGPASSWORD, clientsecret.
_WITHIN = (
    *("password", "passwd", "passphrase", "passcode", "passwort", "kennwort", "contrasena", "secret", "credential"),
    *("apikey", "accesskey", "privatekey", "secretkey", "signingkey", "connectionstring", "connstr", "htpasswd"),
)
_NOT_WITHIN = ("secretar", "secretion")
_SECRET = {"pwd", "pw", "creds", "cred", "sshpass", "dsn", "otp", "totp", "mnemonic", "keytab"}
_PAIRS = {("connection", "string"), ("conn", "string"), ("conn", "str"), ("seed", "phrase"), ("pass", "phrase")}
_KEYS = {
    *("api", "access", "private", "secret", "signing", "encryption", "decryption", "ssh", "auth", "account", "storage"),
    *("master", "shared", "deploy", "session", "service", "subscription", "client", "license", "hmac", "aes", "rsa"),
    *("pgp", "gpg", "openai", "anthropic", "wandb", "hf", "huggingface", "azure", "aws", "gcp", "google", "github"),
    *("gitlab", "stripe", "sendgrid", "cohere", "mistral", "comet", "neptune", "langsmith", "pinecone", "app"),
}
_LOGINS = {
    *("db", "database", "user", "root", "admin", "mysql", "postgres", "pg", "redis", "smtp", "ftp", "mail", "email"),
    *("proxy", "http", "ssh", "ldap", "login", "server", "account", "mongo", "mongodb", "rabbitmq", "sudo"),
}
_AUTH = {
    *("auth", "authorization", "authentication", "oauth", "oauth2", "bearer", "cookie", "cookies", "jwt"),
    *("sessionid", "authtoken", "accesstoken"),
}
# They describe a secret, and hold none.
_DESCRIBING = {
    *("type", "method", "mode", "scheme", "provider", "enabled", "required", "timeout", "length", "len", "count"),
    *("size", "limit", "policy", "strength", "expiry", "ttl", "rotation", "retries", "attempts", "version", "class"),
}
_TOKENIZING = {
    *("pad", "padding", "eos", "bos", "unk", "unknown", "mask", "cls", "sep", "special", "image", "audio", "video"),
    *("begin", "start", "end", "stop", "eot", "eol", "new", "max", "min", "num", "n", "count", "total", "avg", "mean"),
    *("len", "length", "limit", "per", "next", "prev", "previous", "size", "class", "mixing", "merging", "shift"),
    *("pooling", "dropout", "dim", "embedding", "embeddings", "type", "level", "classification", "drop", "batch"),
    *("input", "output", "prompt", "completion", "context", "budget", "added", "additional", "decoder", "bad", "word"),
    *("text", "chunk", "overlap", "step", "frequency", "accuracy", "loss", "probability", "probs", "logits", "ratio"),
    *("sequence", "vocab", "vocabulary", "counts", "indices", "index", "positions", "visual", "vision", "register"),
    *("pattern", "regex", "prob", "score", "scores", "acc", "label", "labels", "prefix", "suffix", "first", "last"),
    *("patch", "latent", "masked", "sentence", "seq", "train", "target", "single", "mixer", "merge", "pruning"),
    *("healing", "seen", "trained", "generated", "reasoning", "rate", "virtual", "soft", "query", "encoding"),
}


@functools.lru_cache(maxsize=4096)
def secrecy_of(name: str) -> Secrecy:
    """Return what the name of a parameter, a key, a flag or a type says of its value."""
    words = _words_of(name[:_LONGEST_NAME])
    found = Secrecy.NONE
    for place, word in enumerate(words):
        before = words[place - 1] if place else ""
        after = words[place + 1] if place + 1 < len(words) else ""
        if _is_secret(word, before):
            if words[-1] not in _DESCRIBING:
                return Secrecy.ALL
        elif word in _AUTH:
            if words[-1] not in _DESCRIBING:
                found = Secrecy.TEXT
        elif _is_token(word, before, after):
            found = Secrecy.TEXT
    return found


def _words_of(name: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(_CAMEL.sub("_", name).replace("OAuth", "oauth"))]


def _is_secret(word: str, before: str) -> bool:
    if word in _SECRET or (before, word) in _PAIRS:
        return True
    if word in ("key", "keys"):
        return before in _KEYS
    if word == "pass":
        return before in _LOGINS
    return any(part in word for part in _WITHIN) and not word.startswith(_NOT_WITHIN)


def _is_token(word: str, before: str, after: str) -> bool:
    if not word.endswith(("token", "tokens")):
        return False
    joined = word.removesuffix("s").removesuffix("token")
    return not ({joined, before, after} & _TOKENIZING) and joined not in ("sub", "de", "multi", "non")


def secrecy_of_type(kind: type) -> Secrecy:
    """Return what the names of the type and of those that it extends say of its instances."""
    found = {secrecy_of(each.__name__) for each in kind.__mro__[:-1]}
    return Secrecy.ALL if Secrecy.ALL in found else Secrecy.TEXT if Secrecy.TEXT in found else Secrecy.NONE


# Every quantifier is bounded, so that no text takes more than linear time.
_URL = re.compile(r"""://([^\s/@:?#"'<>]{0,200}):(?!\d{1,5}(?:[/?#\s"'<>]|$))[^\s"'<>]{1,1000}@""")
_URL_USER = re.compile(r"://(?=[A-Za-z_]{0,60}\d)\w{20,200}@")
_NAME = re.compile(r"""(?<![\w-])([\w.-]{2,100})(["']?\s{0,3}(?:=|:(?!//))\s{0,3}|\s(?=["']))""")
_VALUE = re.compile(
    r"""\[redacted\]|f?"[^"\n]{0,1000}"?|f?'[^'\n]{0,1000}'?|(?:(?i:bearer|basic|digest|token)\s)?[^\s"',;&)\]}]{1,1000}"""
)
_SAYS_NOTHING = ("", REDACTED, "None", "True", "False", "null", "true", "false")
_PRIVATE_KEY = r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----"
_SHAPES = re.compile(
    rf"{_PRIVATE_KEY}[\s\S]{{0,20000}}?-----END [A-Z ]{{0,40}}PRIVATE KEY-----|{_PRIVATE_KEY}[\s\S]{{0,20000}}"
    r"|\b(?:sk-(?=[\w-]{0,200}\d)[\w-]{16,300}|(?:sk|rk)_(?:live|test)_\w{8,200}|gh[pousr]_\w{16,255}"
    r"|github_pat_\w{16,255}|glpat-[\w-]{16,200}|hf_[A-Za-z0-9]{16,200}|xox[abeprs]-[\w-]{10,200}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w-]{30,60}|ya29\.[\w-]{16,400}|npm_\w{30,60}|pypi-[\w-]{16,400}"
    r"|dop_v1_\w{30,100}|SG\.[\w-]{16,100}\.[\w-]{16,100}|tmk_\w{8,200}|lsv2_\w{8,200}"
    r"|eyJ[\w-]{8,4000}\.[\w-]{4,4000}(?:\.[\w-]{0,4000})?)"
    r"|hooks\.slack\.com/services/[\w/]{8,200}|(?i:\bbearer\s)(?=[\w.~+/=-]{0,200}\d)[\w.~+/=-]{8,2000}"
)


def redacted_text(text: str) -> str:
    """Return the text without the secrets that can be recognised in it."""
    if len(text) < 6:
        return text
    if "://" in text:
        text = _URL_USER.sub(f"://{REDACTED}@", _URL.sub(rf"://\1:{REDACTED}@", text))
    if "=" in text or ":" in text or "'" in text or '"' in text:
        text = _without_named(text)
    return _SHAPES.sub(REDACTED, text) if len(text) >= 12 else text


def redacted_error(text: str) -> str:
    """Return the text of an error without secrets, and without what was redacted elsewhere in this process."""
    for secret in sorted(_seen, key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    return redacted_text(text)


def remember(secret: str) -> None:
    """Know a secret again in the texts of errors, if it is not so short that it may be an everyday word."""
    is_telling = len(secret) >= 8 or (len(secret) >= 6 and not secret.isalpha())
    if is_telling and len(secret) <= MAX_ARGUMENT and len(_seen) < _MOST_SEEN:
        _seen.add(secret)


def _without_named(text: str) -> str:
    """Without the values of what is called a secret: `password=x`, `'api_key': 'x'`, `password 'x'`."""
    parts, end = [], 0
    for found in _NAME.finditer(text):
        secrecy = secrecy_of(found[1])
        value = _VALUE.match(text, found.end()) if secrecy is not Secrecy.NONE and found.start() >= end else None
        if value is not None and _is_told(secrecy, found[2], value[0]):
            quote = value[0][0] if value[0][0] in "\"'" else ""
            parts += [text[end : found.end()], quote, REDACTED, quote]
            end = value.end()
    return "".join([*parts, text[end:]]) if parts else text


def _is_told(secrecy: Secrecy, sign: str, value: str) -> bool:
    """Whether the value that follows such a name in a text is taken for a secret."""
    bare = value.removeprefix("f").strip("\"'") if value[-1:] in "\"'" else value
    if bare in _SAYS_NOTHING or _is_fraction(bare) or not any(map(str.isalnum, bare)):
        return False
    if secrecy is Secrecy.ALL:
        return True
    # `Unexpected token: x` is prose, and `token=x` or `"token": "x"` is none.
    is_prose = sign[0] not in "\"'" and "=" not in sign and len(bare) < 16
    return not is_prose and not (bare == value and bare.isdecimal() and len(bare) < 9)


def _is_fraction(text: str) -> bool:
    return "." in text and text.replace(".", "", 1).isdecimal()


def redacted_command(arguments: Sequence[str]) -> str:
    """Return the command line as one would type it, without its secrets, cut where it is long."""
    shown, is_value = [], False
    for argument in arguments:
        name = argument.lstrip("-")
        if is_value and not argument.startswith("--"):
            shown.append(REDACTED)
            is_value = False
            continue
        is_value = argument.startswith("-") and "=" not in name and secrecy_of(name) is not Secrecy.NONE
        shown.append(_cut(_redacted_argument(argument), MAX_ARGUMENT))
    return _cut(" ".join(each if each == REDACTED else _quoted(each) for each in shown), MAX_COMMAND)


def _redacted_argument(argument: str) -> str:
    name, sign, value = argument[: MAX_ARGUMENT * 4].partition("=")
    is_name = bool(re.fullmatch(r"[-+~]{0,3}[\w.:/-]{1,200}", name))
    if sign and value and is_name and secrecy_of(name) is not Secrecy.NONE:
        return f"{name}={REDACTED}"
    return redacted_text(argument[: MAX_ARGUMENT * 4])


def _quoted(argument: str) -> str:
    """As shlex quotes it; the marks of what is redacted need none."""
    rest = argument.replace(REDACTED, "")
    return argument if shlex.quote(rest) == rest else shlex.quote(argument)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
