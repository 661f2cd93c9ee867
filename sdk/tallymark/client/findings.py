"""What a probe of an address finds: why a service does not answer there, and what to do."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import NamedTuple

from tallymark.addresses import Address, addresses_of

HOW_TO_SET = "set TALLYMARK_URL, or call tallymark.configure(url=...)"
WHAT_TO_DO = f"is `tallymark serve` running there? S{HOW_TO_SET[1:]}"
# OpenSSL's numbers of what is wrong with a certificate.
_NOT_YET_VALID, _EXPIRED, _OTHER_NAME = (9,), (10,), (62, 64)
_UNKNOWN_ISSUER = (2, 18, 19, 20, 21)
# Parts of the alerts that refuse a client for its certificate, or for having none.
_REFUSED_CLIENT = ("CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE_FAILURE")


class Finding(NamedTuple):
    """Why an address does not answer, and what to do. It is `final` if waiting cannot help."""

    cause: str
    advice: str
    final: bool = False


SILENT = Finding("it does not answer a connection", "is the address right, and does a firewall let it through?")


def no_answer(url: str, seconds: float) -> str:
    """Return the sentence that nothing at `url` has answered for so many seconds."""
    who = f"no answer from {url}" if len(addresses_of(url)) == 1 else f"no replica answers at {url}"
    return f"{who} within {seconds:g} s"


def unreachable(url: str) -> str:
    """Return the sentence that nothing at `url` can be reached."""
    return f"cannot reach {url}" if len(addresses_of(url)) == 1 else f"no replica answers at {url}"


def of_replicas(addresses: Sequence[Address], findings: Sequence[Finding]) -> Finding:
    """Return one finding for the replicas at the addresses, if none answers."""
    if len(findings) == 1:
        return findings[0]
    causes = "; ".join(f"{address}: {each.cause}" for address, each in zip(addresses, findings, strict=True))
    # What may end by itself decides what to do.
    advice = min(findings, key=lambda finding: finding.final).advice
    return Finding(causes, advice, final=all(each.final for each in findings))


def plain_service(address: str) -> Finding:
    """Return the finding for a service that is called with TLS and speaks none."""
    return Finding(
        "it speaks gRPC without TLS, so this client sends it nothing",
        f"name it without grpcs://, as {address}, if you trust the network; or start it with --tls-cert and --tls-key",
        final=True,
    )


def tls_service(address: str) -> Finding:
    """Return the finding for a service that is called without TLS and demands it."""
    return Finding("it speaks TLS, and the address is without it", f"name it as grpcs://{address}; {HOW_TO_SET}", True)


def refused_client() -> Finding:
    """Return the finding for a service that does not accept this client's certificate, or that it has none."""
    return Finding(
        "it accepts only clients with a certificate of an authority that it knows",
        "set TALLYMARK_CLIENT_CERT and TALLYMARK_CLIENT_KEY to yours, which must not have expired",
        final=True,
    )


def failed_handshake(error: ssl.SSLError, host: str) -> Finding:
    """Return why TLS with the service fails."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _bad_certificate(error, host)
    reason = str(error.reason or error.strerror or error)
    if "ALERT" in reason and any(name in reason for name in _REFUSED_CLIENT):
        return refused_client()
    return Finding(f"TLS with it fails: {reason.lower().replace('_', ' ')}", "check its certificate and its log", True)


def _bad_certificate(error: ssl.SSLCertVerificationError, host: str) -> Finding:
    match error.verify_code:
        case code if code in _EXPIRED:
            return Finding("its certificate has expired", "have it renewed; is the clock of this machine right?", True)
        case code if code in _NOT_YET_VALID:
            return Finding("its certificate is not valid yet", "is the clock of this machine right?", True)
        case code if code in _OTHER_NAME:
            advice = "call it by a name that the certificate has, or have one issued for this name"
            return Finding(f"its certificate is for other names, not for {host}", f"{advice}; {HOW_TO_SET}", True)
        case code if code in _UNKNOWN_ISSUER:
            return Finding(
                "its certificate is from an authority that this machine does not trust",
                "set TALLYMARK_CA to a file with the certificate of that authority",
                final=True,
            )
    return Finding(f"its certificate is not valid: {error.verify_message}", "have it renewed", True)
