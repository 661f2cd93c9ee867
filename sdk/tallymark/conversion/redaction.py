"""Replace secrets by `[redacted]` before they leave the process.

`tallymark.conversion.secrecy` classifies names. In every text, these are redacted: passwords in URLs, `name=value` if
the name marks a secret, the argument after a flag whose name marks a secret (also in the repr of a list, and in lists
of arguments), and well-known forms of tokens. In case of doubt, the value is redacted.
"""

from __future__ import annotations

import base64
import binascii
import re
import shlex
from collections.abc import Sequence

from tallymark.conversion.secrecy import Secrecy, secrecy_of

REDACTED = "[redacted]"
MAX_ARGUMENT = 1_000
MAX_COMMAND = 10_000
# A long secret is recognised in the texts of errors by a prefix of this length.
PREFIX_LENGTH = 6


# The secrets that were redacted in this process, because the texts of errors may contain them without their names.
_known_secrets: set[str] = set()
MAX_KNOWN_SECRETS = 1_000


# Every quantifier is bounded, so that the time is linear in the length of the text.
_URL = re.compile(r"""://([^\s/@:?#"'<>]{0,200}):(?!\d{1,5}(?:[/?#\s"'<>]|$))[^\s"'<>]{1,1000}@""")
_URL_USER = re.compile(r"://(?=[A-Za-z_]{0,60}\d)\w{20,200}@")
# Parameters in the query of a URL that are secrets, such as those of signed URLs.
_QUERY = re.compile(
    r"""(?i)([?&;](?:[\w-]{1,40}[-_])?(?:sig|signature|code|pass|pin|key(?==[^\s&#]{0,40}\d))=)[^\s"'<>&#;]{1,4000}"""
)
_COOKIES = re.compile(r"""(?i)(\bcookie:\s{0,3})(?=[\w.-]{1,100}=)[^"'\n]{1,4000}""")
_NAME = re.compile(
    r"""(?<![\w-])([\w.-]{2,100})(\\{0,3}["']?\s{0,3}(?:=|:(?!//))\s{0,3}|\s(?=["'])|["'],\s{0,3}(?=[bru]?["']))"""
)
_QUOTED = (
    r"""[bfru]?"(?:[^"\\\n]|\\.){0,1000}"?|[bfru]?'(?:[^'\\\n]|\\.){0,1000}'?"""
    r"""|\\{1,3}"[^"\n]{0,1000}"?|\\{1,3}'[^'\n]{0,1000}'?"""
)
_VALUE = re.compile(rf"""\[redacted\]|{_QUOTED}|(?:(?i:bearer|basic|digest|token)\s)?[^\s"',;&)\]}}]{{1,1000}}""")
# Commands that take a password after a flag with one letter, which is in _LETTERS.
_PROGRAM = re.compile(
    r"(?<![\w.-])(?:(mysql\w{0,20}|mariadb(?:-\w{1,20})?|mongo\w{0,20}|sshpass|(?:docker|podman)\W{1,6}login)"
    r"|(redis-cli)|(sqlcmd)|(curl))(?![\w.:/-])"
)
_LETTERS = ("-p", "-a", "-P", "-u")
_LOGIN_FLAGS = ("-u", "-U", "--user", "--proxy-user")
_FLAG = re.compile(
    r"""(?<![\w-])(--?[A-Za-z][\w.-]{0,100})(=|(?:\s|\\[nt]){1,40}|["'](?:,\s{0,3}|\s{1,3})(?=[bru]?["']))?"""
)
_ARGUMENT = re.compile(rf"""\[redacted\]|{_QUOTED}|[^\s"']{{1,1000}}""")
MAX_FLAG_DISTANCE = 300
_NEGATIONS = ("no", "skip", "disable", "without")
# Words that follow a flag in a sentence about it.
_PROSE = {
    *("is", "are", "was", "and", "or", "must", "not", "cannot", "option", "flag", "argument", "requires", "needs"),
    *("for", "to", "in", "has", "may", "should", "parameter", "if", "with"),
}
_BASIC = re.compile(r"(?i:\b(basic\s))([A-Za-z0-9+/]{6,2000}={0,2})(?![\w+/=])")
_HARMLESS_VALUES = ("", REDACTED, "None", "True", "False", "null", "true", "false")
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
    """Return the text with recognisable secrets replaced."""
    if len(text) < 4:
        return text
    if "://" in text:
        text = _URL_USER.sub(f"://{REDACTED}@", _URL.sub(rf"://\1:{REDACTED}@", text))
    if "=" in text:
        text = _COOKIES.sub(rf"\1{REDACTED}", _QUERY.sub(rf"\1{REDACTED}", text))
    if "=" in text or ":" in text or "'" in text or '"' in text:
        text = _redact_named(text)
    if "-" in text:
        text = _redact_flagged(text)
    return _BASIC.sub(_redact_basic, _SHAPES.sub(REDACTED, text)) if len(text) >= 12 else text


def redacted_error(text: str) -> str:
    """Return the text of an error with secrets replaced, including those that were redacted before in this process."""
    secrets = sorted(_known_secrets, key=len, reverse=True)
    for secret in secrets:
        text = text.replace(secret, REDACTED)
    text = redacted_text(text)
    for secret in secrets:
        if len(secret) >= 8 and secret[:PREFIX_LENGTH] in text:
            text = _redact_prefixes(text, secret)
    return text


def _redact_prefixes(text: str, secret: str) -> str:
    """Replace prefixes of a secret, which an error may contain if it shortens its values."""
    first, *rest = text.split(secret[:PREFIX_LENGTH])
    result = [first]
    for part in rest:
        tail = secret[PREFIX_LENGTH:]
        more = next((at for at, ch in enumerate(tail) if part[at : at + 1] != ch), len(tail))
        result.append(f"{REDACTED}{part[more:]}")
    return "".join(result)


def remember_secret(secret: str) -> None:
    """Add a secret to those that `redacted_error` replaces, unless it is so short that it may be a common word."""
    is_distinctive = len(secret) >= 8 or (len(secret) >= 6 and not secret.isalpha())
    is_usable = is_distinctive and secret[:PREFIX_LENGTH] not in REDACTED and len(secret) <= MAX_ARGUMENT
    if is_usable and len(_known_secrets) < MAX_KNOWN_SECRETS:
        _known_secrets.add(secret)


def _redact_named(text: str) -> str:
    """Replace values whose names mark secrets: `password=x`, `'api_key': 'x'`, `('token', 'x')`."""
    parts, end = [], 0
    for found in _NAME.finditer(text):
        secrecy = secrecy_of(found[1])
        value = _VALUE.match(text, found.end()) if secrecy is not Secrecy.NONE and found.start() >= end else None
        if value is None or not _is_secret_value(secrecy, found[2], value[0]):
            continue
        if "," in found[2] and not _is_pair(text, found.start(), value.end()):
            continue
        if is_folder(found[1], value[0]) and text[: found.start()][-1:] != ";":
            continue
        parts += [text[end : found.end()], _redacted_like(value[0])]
        end = value.end()
        if found[1][0] == "-" and "=" in found[2] and text[found.start() - 1 : found.start()] in ("'", '"'):
            # The value of a quoted argument extends to the closing quote, including spaces.
            closing = text.find(text[found.start() - 1], end, end + MAX_ARGUMENT)
            end = max(end, closing)
    return "".join([*parts, text[end:]]) if parts else text


def _redacted_like(value: str) -> str:
    """Return the replacement of a value, in the same quotes."""
    quote = next((ch for ch in value[:5].lstrip("\\bfru")[:1] if ch in "\"'"), "")
    escape = "\\" * (len(value) - len(value.lstrip("\\"))) if quote else ""
    return f"{escape}{quote}{REDACTED}{escape}{quote}"


def _is_pair(text: str, start: int, end: int) -> bool:
    """Return whether a quoted name and a value are the only items in brackets: a tuple, or a list in a list."""
    before, after = text[max(start - 8, 0) : start], text[end : end + 2].lstrip()
    return bool(re.search(r"""(?:\(|\[\s?\[|\],\s?\[)[bru]?["']$""", before)) and after[:1] in (")", "]")


def is_folder(name: str, value: str) -> bool:
    """Return whether this is the working folder in the variable PWD, and not a password."""
    return name == "PWD" and bool(re.fullmatch(r"(?:[A-Za-z]:\\|/)[^\s;&=]{0,1000}", value.strip("\"'")))


def looks_random(text: str) -> bool:
    """Return whether the text looks like a generated key rather than a word."""
    return any(
        any(map(str.isdigit, part)) and any(map(str.isalpha, part)) for part in re.findall(r"[A-Za-z0-9+/=]{16,}", text)
    )


def _redact_basic(found: re.Match[str]) -> str:
    """Replace the text after `Basic` if it is a user and password in base64, and not a word of a sentence."""
    encoded = found[2].rstrip("=")
    try:
        is_login = b":" in base64.b64decode(encoded + "=" * (-len(encoded) % 4))
    except binascii.Error:
        is_login = False
    return f"{found[1]}{REDACTED}" if is_login or found[2].endswith("=") else found[0]


def _redact_flagged(text: str) -> str:
    """Replace secrets after flags: `--password x`, `'--password', 'x'`, `curl -u user:x`, `mysql -px`."""
    programs = [(each.end(), _letter_of(each)) for each in _PROGRAM.finditer(text)]
    parts, end, at, letter = [], 0, 0, ""
    for found in _FLAG.finditer(text):
        while programs and programs[0][0] <= found.start():
            at, letter = programs.pop(0)
        if found.start() < end:
            continue
        is_near = found.start() - at < MAX_FLAG_DISTANCE and "\n" not in text[at : found.start()][:MAX_FLAG_DISTANCE]
        flag, start = found[1], found.end()
        if is_near and letter and flag.startswith(letter) and len(flag) > len(letter):
            flag, start = letter, found.start() + len(letter)
        is_attached = start < found.end() or (
            flag == letter and text[found.start() - 1 : found.start()] not in ("'", '"')
        )
        value = _ARGUMENT.match(text, start) if found[2] or is_attached else None
        redacted = (
            None if value is None else _redact_flag_value(flag, letter if is_near else "", value[0], is_text=True)
        )
        if value is not None and redacted is not None:
            parts += [text[end:start], redacted]
            end = value.end()
    return "".join([*parts, text[end:]]) if parts else text


def _letter_of(program: re.Match[str]) -> str:
    return _LETTERS[(program.lastindex or 1) - 1]


def _redact_flag_value(flag: str, letter: str, value: str, *, is_text: bool = False) -> str | None:
    """Return the redacted argument of a flag, None if the argument is not a secret.

    `letter` is the password flag of the command; with `is_text`, the flag may also be in a sentence.
    """
    bare = value.lstrip("bfru\\").strip("\\\"'") if is_text and value[-1:] in "\"'" else value
    if bare in _HARMLESS_VALUES or bare.startswith("--") or not any(map(str.isalnum, bare)):
        return None
    if flag in _LOGIN_FLAGS:
        user, sign, password = bare.partition(":")
        is_login = sign and password and not password.startswith("//") and not (user + password).isdecimal()
        return value.replace(f":{password}", f":{REDACTED}") if is_login else None
    name = flag.lstrip("-")
    if flag != letter:
        secrecy = secrecy_of(name)
        if secrecy is Secrecy.NONE or name.lower().startswith(_NEGATIONS):
            return None
        if secrecy is Secrecy.RANDOM and not looks_random(bare):
            return None
    if is_text and (bare in _PROSE or bare.rstrip("]),.") == name.upper().replace("-", "_")):
        return None
    return _redacted_like(value) if is_text else REDACTED


def _is_secret_value(secrecy: Secrecy, sign: str, value: str) -> bool:
    """Return whether the value after a name with this secrecy in a text is treated as a secret."""
    bare = value.lstrip("bfru\\").strip("\\\"'") if value[-1:] in "\"'" else value
    if bare in _HARMLESS_VALUES or _is_fraction(bare) or not any(map(str.isalnum, bare)):
        return False
    if secrecy is not Secrecy.TEXT:
        return secrecy is Secrecy.ALL or looks_random(bare)
    # `Unexpected token: x` is a sentence, but `token=x` and `"token": "x"` are not.
    is_word = len(bare) < 16 and not (any(map(str.isdigit, bare)) and any(map(str.isalpha, bare)))
    is_prose = sign[0] not in "\"'\\" and "=" not in sign and is_word
    return not is_prose and not (bare == value and bare.isdecimal() and len(bare) < 9)


def _is_fraction(text: str) -> bool:
    return "." in text and text.replace(".", "", 1).isdecimal()


class Arguments:
    """Redacts the arguments of a command line, one after the other; those after flags may be secrets."""

    def __init__(self) -> None:
        self._before = ""
        self._letter = ""

    def redacted(self, argument: str) -> str:
        """Return the next argument with secrets replaced; REDACTED if it is a secret as a whole."""
        before, self._before = self._before, argument[:MAX_ARGUMENT]
        program = _PROGRAM.search(f"{before[-MAX_ARGUMENT:]} {self._before}")
        if program is not None:
            self._letter = _letter_of(program)
        if before.startswith("-") and "=" not in before:
            redacted = _redact_flag_value(before, self._letter, argument)
            if redacted is not None:
                remember_secret(argument if redacted == REDACTED else argument.partition(":")[2])
                self._before = ""
                return redacted
        if self._letter and argument.startswith(self._letter) and len(argument) > 2:
            remember_secret(argument[2:])
            return f"{self._letter}{REDACTED}"
        return _redacted_argument(argument)


def redacted_command(arguments: Sequence[str]) -> str:
    """Return the command line in shell syntax, with secrets replaced, and cut to its maximum length."""
    command = Arguments()
    redacted = [_cut(command.redacted(argument), MAX_ARGUMENT) for argument in arguments]
    return _cut(" ".join(each if each == REDACTED else _quoted(each) for each in redacted), MAX_COMMAND)


def _redacted_argument(argument: str) -> str:
    name, sign, value = argument[: MAX_ARGUMENT * 4].partition("=")
    is_name = bool(re.fullmatch(r"[-+~]{0,3}[\w.:/-]{1,200}", name))
    if sign and value and is_name and secrecy_of(name) not in (Secrecy.NONE, Secrecy.RANDOM):
        return argument if is_folder(name, value) else f"{name}={REDACTED}"
    return redacted_text(argument[: MAX_ARGUMENT * 4])


def _quoted(argument: str) -> str:
    """Quote the argument as shlex does, but not because of `[redacted]`."""
    rest = argument.replace(REDACTED, "")
    return argument if shlex.quote(rest) == rest else shlex.quote(argument)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
