"""The storage on one SQLite file.

The file:
schema/         the tables, by numbered steps
migrate         applies those steps, forward only
rechain         adds the present digests and hashes to logs of earlier releases
file_lock       lets one process at a time hold the file
connection      connects to the file
threaded_connection a connection with a thread of its own
wal_truncation  keeps the write-ahead log small
head_file       keeps the end of each log beside the file, so that a lost end is noticed
engine          opens the file, and keeps the promises of the contract
engine_errors   errors of SQLite as those of the contract

Access:
access_file     tokens, grants and sessions, in a file of their own

Writing:
session         reads and changes of tables as statements
dialect         the words of SQLite in statements that engines share
bulk_insert     many rows in few statements

Reading:
read_transaction several reads in one transaction
version_cache   versions that were read, until the next change
integrity_check checks tables and indexes when the file is opened
event_integrity checks, whenever an event is read, that it is as it was recorded

Proving:
scrub           overwrites what was erased in the bytes of the file
verification    verifies that tables and log agree, and that the log was not changed

Copying:
backup          copies a file while a server writes to it
offline_access  a file that is read beside its server, or changed while no server holds it
log_export      the logs of a file to lines
export_stream   the exports of logs that are under way
log_import      lines to logs
"""
