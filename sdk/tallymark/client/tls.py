"""TLS to the service: the authorities that are trusted, this program's own certificate, and the channels."""

from __future__ import annotations

import os
import ssl
import stat
from typing import Any

import grpc

from tallymark.addresses import Address
from tallymark.errors import InvalidSetting
from tallymark.settings import Settings

# The variable of gRPC itself for the same.
_GRPC_ROOTS = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"
# Where systems keep the certificates that they trust, if OpenSSL was built with other paths.
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)

Options = tuple[tuple[str, Any], ...]


def open_channel(address: Address, settings: Settings, options: Options) -> grpc.Channel:
    """Return a channel to the address, with TLS if it says so. Raises InvalidSetting."""
    if address.tls:
        return grpc.secure_channel(address.target, channel_credentials(settings), options)
    return grpc.insecure_channel(address.target, options)


def open_aio_channel(address: Address, settings: Settings, options: Options) -> grpc.aio.Channel:
    """Return a channel for asyncio, as `open_channel` does. Raises InvalidSetting."""
    if address.tls:
        return grpc.aio.secure_channel(address.target, channel_credentials(settings), options)
    return grpc.aio.insecure_channel(address.target, options)


def channel_credentials(settings: Settings) -> grpc.ChannelCredentials:
    """Return what gRPC trusts, and by what it is known to the service. Raises InvalidSetting."""
    key, certificate = own_certificate(settings) or (None, None)
    return grpc.ssl_channel_credentials(trusted_roots(settings), key, certificate)


def trusted_roots(settings: Settings) -> bytes | None:
    """Return the certificates that may vouch for the service, None for those that gRPC brings.

    Raises InvalidSetting.
    """
    if settings.ca:
        roots = _read(settings.ca, "TALLYMARK_CA")
        try:
            ssl.create_default_context(cadata=roots.decode())
        except (ssl.SSLError, ValueError):
            raise InvalidSetting(f"TALLYMARK_CA: {settings.ca} holds no certificates in the format PEM") from None
        return roots
    if path := os.environ.get(_GRPC_ROOTS):
        return _read(path, _GRPC_ROOTS)
    return _system_roots()


def _system_roots() -> bytes | None:
    """Return the certificates that this machine trusts, where administrators add their own. None if none are found."""
    # gRPC would trust the list that it was released with.
    for path in (ssl.get_default_verify_paths().cafile, *_BUNDLES):
        try:
            return _pem(path or "")
        except OSError:
            continue
    found = ssl.create_default_context().get_ca_certs(binary_form=True)
    return "".join(map(ssl.DER_cert_to_PEM_cert, found)).encode() or None


def own_certificate(settings: Settings) -> tuple[bytes, bytes] | None:
    """Return the key and the certificate of this program, None if it has none. Raises InvalidSetting."""
    if not settings.client_cert and not settings.client_key:
        return None
    if not settings.client_cert or not settings.client_key:
        given, missing = ("CERT", "KEY") if settings.client_cert else ("KEY", "CERT")
        raise InvalidSetting(f"TALLYMARK_CLIENT_{given} is set, and TALLYMARK_CLIENT_{missing} is not; set both")
    key = _read(settings.client_key, "TALLYMARK_CLIENT_KEY")
    certificate = _read(settings.client_cert, "TALLYMARK_CLIENT_CERT")
    if stat.S_IMODE(os.stat(settings.client_key).st_mode) & stat.S_IROTH:  # noqa: PTH116 - pathlib takes time to import
        raise InvalidSetting(
            f"TALLYMARK_CLIENT_KEY: every user of this machine can read {settings.client_key}; run"
            f" chmod 600 {settings.client_key}"
        )
    try:
        ssl.create_default_context().load_cert_chain(settings.client_cert, settings.client_key, _no_password)
    except (ssl.SSLError, ValueError) as error:
        raise InvalidSetting(
            f"{settings.client_cert} and {settings.client_key} are no certificate with its key in the format PEM,"
            f" without a password: {error}"
        ) from None
    return key, certificate


def _no_password() -> str:
    """Return an empty password, since OpenSSL would otherwise ask for one on the terminal."""
    return ""


def client_context(settings: Settings) -> ssl.SSLContext:
    """Return the context of Python's TLS that trusts and shows the same as the channel. Raises InvalidSetting."""
    roots = trusted_roots(settings)
    context = ssl.create_default_context(cadata=roots.decode() if roots else None)
    if own_certificate(settings):
        context.load_cert_chain(settings.client_cert, settings.client_key, _no_password)
    context.set_alpn_protocols(["h2"])
    return context


def _read(path: str, source: str) -> bytes:
    try:
        return _pem(path)
    except OSError as error:
        raise InvalidSetting(f"{source}: cannot read {path}: {error.strerror}") from None


def _pem(path: str) -> bytes:
    """Return what the file has in the format PEM. Raises OSError."""
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib takes time to import
        # The format is ASCII. Comments and the marks of editors need not be, and gRPC finds nothing behind the latter.
        return file.read().decode("ascii", "ignore").encode()
