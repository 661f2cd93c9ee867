"""`tallymark artifact`."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tallymark.cli import completers, options
from tallymark.cli.client_context import with_client
from tallymark.cli.nouns import Noun
from tallymark.cli.output import Printer
from tallymark.types.enums import ArtifactRole, ArtifactType

if TYPE_CHECKING:
    from tallymark.client.blocking import Client

_name = click.argument("name", metavar="NAME", shell_complete=completers.artifacts)


@click.group(cls=Noun)
def artifact() -> None:
    """Artifacts that versions produced or used.

    A NAME is that of an artifact of the version, such as classifier (the newest of that name) or classifier@2.
    """


@artifact.command("list")
@options.reference
@options.where
@options.at
@options.limit
@with_client
def list_artifacts(
    client: Client, printer: Printer, reference: str, where: str, at: int | datetime | None, limit: int | None
) -> None:
    """List the artifacts of a version, the first linked first."""
    printer.many(islice(client.list_artifacts(reference, filter=where, at=at), limit), f"no artifacts of {reference}")


@artifact.command("get")
@options.reference
@_name
@options.at
@with_client
def get_artifact(client: Client, printer: Printer, reference: str, name: str, at: int | datetime | None) -> None:
    """Print one artifact."""
    printer.one(client.get_artifact(reference, name, at=at))


@artifact.command("add")
@options.reference
@_name
@click.argument("uri", metavar="URI")
@click.option(
    "--type",
    "kind",
    type=click.Choice([each.value for each in ArtifactType]),
    default="data",
    help="The type of the artifact.",
)
@click.option(
    "--role",
    type=click.Choice([each.value for each in ArtifactRole]),
    default="made",
    help="Whether the version produced or used it.",
)
@click.option("--digest", default="", metavar="sha256:HEX", help="The SHA-256 of its bytes.")
@click.option("--size", type=click.IntRange(0), default=0, metavar="BYTES", help="Its size.")
@click.option("--format", "format_", default="", metavar="NAME", help="The format of the bytes, such as json or skops.")
@with_client
def add_artifact(
    client: Client,
    printer: Printer,
    reference: str,
    name: str,
    uri: str,
    kind: str,
    role: str,
    digest: str,
    size: int,
    format_: str,
) -> None:
    """Link an artifact to a version that produced or used it."""
    fields = {"type": kind, "role": role, "digest": digest, "format": format_}
    printer.one(client.link_artifact(reference, name, uri, size=size, **fields))


@artifact.command("remove")
@options.reference
@_name
@options.reason
@with_client
def remove_artifact(client: Client, printer: Printer, reference: str, name: str, reason: str) -> None:
    """Remove the link to an artifact. The artifact itself stays where it is kept."""
    printer.one(client.unlink_artifact(reference, name, reason=reason))


@artifact.command("download")
@options.reference
@_name
@options.at
@click.option(
    "--to", "folder", type=click.Path(path_type=Path, file_okay=False), default=".", help="The folder to write to."
)
@click.option("--force", is_flag=True, help="Replace a file or folder of that name.")
@with_client
def download_artifact(
    client: Client, printer: Printer, reference: str, name: str, at: int | datetime | None, folder: Path, force: bool
) -> None:
    """Download an artifact, a file or a folder, and verify its digest.

    It is written under the artifact's name, and compared with the digest with which it was linked.
    """
    from tallymark.artifacts.save_load import download

    found = client.get_artifact(reference, name, at=at)
    path = download(found, folder, force=force)
    printer.one({"path": str(path), "artifact": f"{found.name}@{found.ordinal}", "digest": found.digest})


@artifact.command("verify")
@options.reference
@with_client
def verify_artifacts(client: Client, printer: Printer, reference: str) -> None:
    """Verify the digests of a version's artifacts.

    Downloads every artifact of the version that has a digest, and compares its bytes with it. Exit code 1 if one
    differs, is missing, or is in a store that is not trusted (TALLYMARK_TRUSTED_STORES).
    """
    import tempfile

    from tallymark.artifacts.save_load import download
    from tallymark.errors import DigestMismatch, StoreNotTrusted, StoreUnavailable

    broken = 0
    rows = []
    for found in client.list_artifacts(reference, filter='digest != ""'):
        with tempfile.TemporaryDirectory(prefix="tallymark-") as folder:
            try:
                download(found, Path(folder))
                state = "as linked"
            except DigestMismatch:
                broken, state = broken + 1, "changed"
            except StoreUnavailable:
                broken, state = broken + 1, "not there"
            except StoreNotTrusted:
                broken, state = broken + 1, "not trusted"
        rows.append({"artifact": f"{found.name}@{found.ordinal}", "state": state, "uri": found.uri})
    printer.many(rows)
    if broken:
        untrusted = any(row["state"] == "not trusted" for row in rows)
        raise click.ClickException(
            f"{broken} of {len(rows)} artifacts could not be verified"
            + ("; to fetch from other stores, list these stores in TALLYMARK_TRUSTED_STORES" if untrusted else "")
        )
