"""Certificate authorities of the tests: they issue certificates for any name and time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import trustme


class Issued(NamedTuple):
    """The files of a certificate and its key."""

    certificate: Path
    key: Path

    @property
    def for_server(self) -> list[str]:
        """The options with which a server uses it."""
        return ["--tls-cert", str(self.certificate), "--tls-key", str(self.key)]


class Authority:
    """An authority that nobody knows unless a test says so. `certificate` is the file with its certificate."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._ca = trustme.CA(organization_name=f"Tallymark's tests, {name}")
        self.folder = folder
        self.certificate = folder / f"{name}.pem"
        self._ca.cert_pem.write_to_path(self.certificate)

    def issue(self, *names: str, file: str = "server", common_name: str | None = None, days: int = 1) -> Issued:
        """Issue a certificate, or replace it. One of fewer than 0 days has expired."""
        now = datetime.now(UTC)
        found = self._ca.issue_cert(
            *(names or ("localhost", "127.0.0.1")),
            common_name=common_name,
            not_before=now - timedelta(days=9),
            not_after=now + timedelta(days=days),
        )
        issued = Issued(self.folder / f"{file}.crt", self.folder / f"{file}.key")
        issued.certificate.write_bytes(b"".join(each.bytes() for each in found.cert_chain_pems))
        issued.key.touch(mode=0o600)
        issued.key.write_bytes(found.private_key_pem.bytes())
        return issued
