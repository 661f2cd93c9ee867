"""The columns of events and receipts that an export consists of."""

from __future__ import annotations

from tallymark_server.storage.log.chain import Row
from tallymark_server.storage.sql.dialect import Dialect
from tallymark_server.storage.sql.erasures import marks

RECEIPT_COLUMNS = "request_id, fingerprint, first_revision, last_revision"


def exported_columns(sql: Dialect) -> str:
    """Return the columns of `events`."""
    return f"{', '.join(Row._fields)}, salt, digest, hash, {marks(sql)}"
