"""Access control as a whole: what knows callers, and where people sign in, put together for the settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from tallymark_server.access.book import AccessBook
from tallymark_server.access.callers import Authenticator
from tallymark_server.access.chain import Chain, Recognizer, Tokens
from tallymark_server.settings import Settings

if TYPE_CHECKING:
    from tallymark_server.identity.sessions import Sessions
    from tallymark_server.identity.tokens import Verifier


class AccessControl(NamedTuple):
    """What knows callers, None if everybody may do everything; and where people sign in, None for nowhere."""

    authenticator: Authenticator | None = None
    sessions: Sessions | None = None
    verifier: Verifier | None = None


def access_control(
    settings: Settings, book: AccessBook | None, now: Callable[[], int], authenticator: Authenticator | None = None
) -> AccessControl:
    """Return the access control of a server: as the settings say, unless there is an authenticator already.

    `now` returns microseconds since 1970.
    """
    if authenticator is not None:
        return AccessControl(authenticator)
    # A connection has its certificate also if its calls present something else, so it comes last.
    by_certificate: list[Recognizer] = []
    if settings.by_certificate:
        from tallymark_server.identity.certificates import Certificates

        by_certificate = [Certificates(book)]
    if book is None:
        return AccessControl(Chain(by_certificate) if by_certificate else None)
    from tallymark_server.identity.sessions import Sessions

    sessions, verifier = Sessions(book, settings.issuers, now), None
    recognizers: list[Recognizer] = [Tokens(book)]
    if settings.issuers:
        # Most servers have no issuers, and do without what verifies their tokens.
        from tallymark_server.identity.tokens import IssuedTokens, Verifier

        verifier = Verifier(settings.issuers, now)
        recognizers.append(IssuedTokens(verifier, book))
    return AccessControl(Chain([*recognizers, sessions, *by_certificate]), sessions, verifier)
