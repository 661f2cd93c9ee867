"""The columns of events and receipts that an export consists of."""

from __future__ import annotations

from tallymark_server.storage.log.chain import Row
from tallymark_server.storage.sqlite.erasures import MARKS

EVENT_COLUMNS = f"{', '.join(Row._fields)}, salt, digest, hash, {MARKS.format(schema='main')}"
RECEIPT_COLUMNS = "request_id, fingerprint, first_revision, last_revision"
