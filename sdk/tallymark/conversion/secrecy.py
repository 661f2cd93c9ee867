"""Classify names and types whose values are secrets.

These words mark a secret in a name of any case (`api_key`, `apiKey`, `API-KEY`, `DB_PASSWORD`):

- password, passwd, pwd, passphrase, secret, credential, private/secret/access/api/... key, connection string, dsn: any
  value is redacted, except None, True, False and fractions such as a recall of 0.93
- pin at the end of a name: the same
- auth, authorization, oauth, bearer, cookie, jwt, session id, token, pass: text is redacted, numbers are not
- key alone, my_key: text that looks random is redacted; primary_key or sort_key are not secrets
- words of tokenizers are not secrets: tokenizer, max_tokens, num_tokens, pad_token, eos_token_id, special_tokens; nor
  are author, auth_type, password_length and other names that describe a secret without containing it
"""

from __future__ import annotations

import enum
import functools
import re


class Secrecy(enum.Enum):
    """Which values with a name are secrets."""

    NONE = "none"
    # Only text that looks random.
    RANDOM = "random"
    # Only text: a number with such a name is a count, a time or a fraction.
    TEXT = "text"
    ALL = "all"


_WORDS = re.compile(r"[^\W\d_]+|\d+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
MAX_NAME_LENGTH = 300

# These mark a secret anywhere in a word, such as PGPASSWORD or clientsecret.
_SECRET_PARTS = (
    *("password", "passwd", "passphrase", "passcode", "passwort", "kennwort", "contrasena", "secret", "credential"),
    *("apikey", "accesskey", "privatekey", "secretkey", "signingkey", "connectionstring", "connstr", "htpasswd"),
)
_NOT_SECRET_PARTS = ("secretar", "secretion")
_SECRET_WORDS = {"pwd", "pincode", "pw", "creds", "cred", "sshpass", "dsn", "otp", "totp", "mnemonic", "keytab"}
_SECRET_PAIRS = {
    ("connection", "string"),
    ("conn", "string"),
    ("conn", "str"),
    ("seed", "phrase"),
    ("pass", "phrase"),
    ("pin", "code"),
}
_KEY_PREFIXES = {
    *("api", "access", "private", "secret", "signing", "encryption", "decryption", "ssh", "auth", "account", "storage"),
    *("master", "shared", "deploy", "session", "service", "subscription", "client", "license", "hmac", "aes", "rsa"),
    *("pgp", "gpg", "openai", "anthropic", "wandb", "hf", "huggingface", "azure", "aws", "gcp", "google", "github"),
    *("gitlab", "stripe", "sendgrid", "cohere", "mistral", "comet", "neptune", "langsmith", "pinecone", "app"),
}
_PASS_PREFIXES = {
    *("db", "database", "user", "root", "admin", "mysql", "postgres", "pg", "redis", "smtp", "ftp", "mail", "email"),
    *("proxy", "http", "ssh", "ldap", "login", "server", "account", "mongo", "mongodb", "rabbitmq", "sudo"),
    *("my", "new", "old", "the"),
}
# Before `pass`, these mean a pass over data, a filter, or a passed test.
_NOT_PASS_PREFIXES = {
    *("first", "second", "third", "last", "next", "final", "one", "two", "single", "multi", "double", "forward"),
    *("backward", "low", "high", "band", "all", "n", "num", "max", "min", "per", "each", "every", "test", "tests"),
    *("train", "training", "data", "by", "no", "is", "did", "render", "optimization", "filter"),
}
# Before `key`, these leave open whether it is a key of a mapping, of a table or of an account.
_VAGUE_PREFIXES = {"", "my", "the", "our", "your", "user", "new", "old"}
_AUTH_WORDS = {
    *("auth", "authorization", "authentication", "oauth", "oauth2", "bearer", "cookie", "cookies", "jwt"),
    *("sessionid", "authtoken", "accesstoken"),
}
# As the last word, these describe a secret without containing it.
_DESCRIPTIVE_WORDS = {
    *("type", "method", "mode", "scheme", "provider", "enabled", "required", "timeout", "length", "len", "count"),
    *("size", "limit", "policy", "strength", "expiry", "ttl", "rotation", "retries", "attempts", "version", "class"),
}
_TOKENIZER_WORDS = {
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
    """Return the secrecy of a parameter, a key, a flag or a type by its name."""
    words = _words_of(name[:MAX_NAME_LENGTH])
    found = Secrecy.NONE
    for place, word in enumerate(words):
        before = words[place - 1] if place else ""
        after = words[place + 1] if place + 1 < len(words) else ""
        if _is_secret(word, before):
            if words[-1] not in _DESCRIPTIVE_WORDS:
                return Secrecy.ALL
        elif word in _AUTH_WORDS:
            if words[-1] not in _DESCRIPTIVE_WORDS:
                found = Secrecy.TEXT
        elif _is_token(word, before, after):
            found = Secrecy.TEXT
        elif not after and found is Secrecy.NONE:
            found = _secrecy_of_last(word, before)
    return found


def _secrecy_of_last(word: str, before: str) -> Secrecy:
    """Return the secrecy of words that mark a secret only at the end: not in `pin_memory`, `pass_rate`, `key_dim`."""
    if word == "pin":
        return Secrecy.ALL
    if word == "pass" and before not in _NOT_PASS_PREFIXES:
        return Secrecy.TEXT
    return Secrecy.RANDOM if word == "key" and before in _VAGUE_PREFIXES else Secrecy.NONE


def _words_of(name: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(_CAMEL.sub("_", name).replace("OAuth", "oauth"))]


def _is_secret(word: str, before: str) -> bool:
    if word in _SECRET_WORDS or (before, word) in _SECRET_PAIRS:
        return True
    if word in ("key", "keys"):
        return before in _KEY_PREFIXES
    if word.endswith("pass"):
        return (word.removesuffix("pass") or before) in _PASS_PREFIXES
    return any(part in word for part in _SECRET_PARTS) and not word.startswith(_NOT_SECRET_PARTS)


def _is_token(word: str, before: str, after: str) -> bool:
    if not word.endswith(("token", "tokens")):
        return False
    joined = word.removesuffix("s").removesuffix("token")
    return not ({joined, before, after} & _TOKENIZER_WORDS) and joined not in ("sub", "de", "multi", "non")


def secrecy_of_type(kind: type) -> Secrecy:
    """Return the secrecy of a type by its name and those of its bases."""
    found = {secrecy_of(each.__name__) for each in kind.__mro__[:-1]}
    return Secrecy.ALL if Secrecy.ALL in found else Secrecy.TEXT if Secrecy.TEXT in found else Secrecy.NONE
