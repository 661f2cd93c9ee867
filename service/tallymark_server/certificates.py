"""The certificate of the server, which may be replaced while it runs, and the names in those of callers."""

from __future__ import annotations

import os
import re
import ssl
import stat
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_Stamp = tuple[tuple[int, int, int], ...]
_LEAF = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
# Public keys of Ed25519, Ed448 and P-521 as certificates have them: the algorithm, and the length of what follows.
_NOT_OF_GRPC = re.compile(
    rb"\x30\x05\x06\x03\x2b\x65(\x70\x03\x21|\x71\x03\x3a)\x00|\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23\x03"
)


class CertificateError(Exception):
    """The files of a certificate cannot be used. The message says why, and what to do next."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The files of TLS: the certificate with its chain, its key, and the authorities of callers, if they need one."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def stamp(self) -> _Stamp:
        """Return what changes when a file is replaced or rewritten. Raises OSError."""
        paths = [self.certificate, self.key, *([] if self.client_ca is None else [self.client_ca])]
        found = [os.stat(path) for path in paths]  # noqa: PTH116 - three times as fast, for each connection
        return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in found)


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the files hold: the texts for gRPC, and the context for HTTP. `client_ca` is None for no callers."""

    certificate: bytes
    key: bytes
    client_ca: bytes | None
    context: ssl.SSLContext


class Certificates:
    """The certificate in force: the latest that the files had whole. They are looked at for each new connection."""

    def __init__(self, files: TlsFiles) -> None:
        """Read the files. Raises CertificateError."""
        self._files = files
        self._lock = threading.Lock()
        try:
            self._stamp = files.stamp()
        except OSError as error:
            raise CertificateError(f"cannot read {error.filename}: {error.strerror}") from None
        self._current = _read(files)

    def current(self) -> Certificate:
        """Return the certificate for a new connection. If the files cannot be used now, the previous one."""
        with self._lock:
            try:
                stamp = self._files.stamp()
                if stamp != self._stamp:
                    # What is written meanwhile has another stamp, so it is read at the next connection.
                    self._stamp = stamp
                    self._current = _read(self._files)
                    _log().info("renewed the certificate", file=str(self._files.certificate))
            except (OSError, CertificateError) as error:
                _log().warning("kept the previous certificate", problem=str(error))
            return self._current

    def context(self) -> ssl.SSLContext:
        """Return a context for HTTP that takes the certificate in force for each connection."""
        context = _read(self._files).context

        def choose(connection: ssl.SSLObject, _: str | None, __: ssl.SSLContext) -> None:
            connection.context = self.current().context

        context.sni_callback = choose
        return context


def _read(files: TlsFiles) -> Certificate:
    """Return what the files hold. Raises CertificateError unless certificate and key belong together."""
    if stat.S_IMODE(_mode(files.key)) & stat.S_IROTH:
        raise CertificateError(f"every user of this machine can read the key {files.key}; run chmod o-r {files.key}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(files.certificate, files.key, _no_password)
    except (OSError, ValueError) as error:
        raise CertificateError(
            f"{files.certificate} and {files.key} are no certificate with its key in the format PEM, without a"
            f" password: {error}"
        ) from None
    certificate = _pem(files.certificate)
    leaf = _LEAF.search(certificate)
    if leaf and _NOT_OF_GRPC.search(ssl.PEM_cert_to_DER_cert(leaf[0].decode())):
        # Python's TLS takes it, so only calls of gRPC would fail, without a word here.
        raise CertificateError(
            f"{files.certificate} is for a key of Ed25519, Ed448 or P-521, with which gRPC does not connect; have one"
            " issued for a key of RSA, P-256 or P-384"
        )
    client_ca = None
    if files.client_ca is not None:
        client_ca = _pem(files.client_ca)
        try:
            context.load_verify_locations(cadata=client_ca.decode("ascii"))
        except (ssl.SSLError, ValueError):
            raise CertificateError(f"{files.client_ca} holds no certificates in the format PEM") from None
        context.verify_mode = ssl.CERT_REQUIRED
        # A resumed session would be accepted although the authorities have changed.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    return Certificate(certificate, _pem(files.key), client_ca, context)


def _no_password() -> str:
    """Return an empty password, since OpenSSL would otherwise ask for one on the terminal."""
    return ""


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError as error:
        raise CertificateError(f"cannot read {path}: {error.strerror}") from None


def _pem(path: Path) -> bytes:
    """Return what the file has in the format PEM. Raises CertificateError."""
    try:
        # The format is ASCII. Comments and the marks of editors need not be, and gRPC finds nothing behind the latter.
        return path.read_bytes().decode("ascii", "ignore").encode()
    except OSError as error:
        raise CertificateError(f"cannot read {path}: {error.strerror}") from None


def name_in(auth_context: Mapping[str, Iterable[bytes]]) -> str:
    """Return the name in the certificate of a caller of gRPC, empty if the caller has shown none."""
    for key in ("x509_subject_alternative_name", "x509_common_name"):
        for value in auth_context.get(key, ()):
            return value.decode("utf-8", "replace")
    return ""


def name_of(peer: Mapping[str, Any] | None) -> str:
    """Return the name in the certificate of a caller of HTTP, as `SSLObject.getpeercert` has it; empty for none."""
    if not peer:
        return ""
    names = [
        str(name) for kind, name in peer.get("subjectAltName", ()) if kind in ("DNS", "URI", "email", "IP Address")
    ]
    common = [str(value) for part in peer.get("subject", ()) for key, value in part if key == "commonName"]
    return next(iter([*names, *common]), "")


def _log() -> Any:
    """Return the logger. Settings import this module, also where the service is not installed."""
    import structlog

    return structlog.get_logger()
