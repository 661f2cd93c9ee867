"""The storage on one SQLite file.

The file:
schema/         the tables, by numbered steps
migrate         applies those steps, forward only
rechain         gives logs of earlier releases the digests and hashes of now
run_states      gives versions whose log lacks it the state of their run
file_lock       lets one process at a time hold the file
connection      connects to the file
threaded_connection a connection with a thread of its own
wal_truncation  keeps the write-ahead log small
head_file       keeps beside the file where each log ends, so that a lost end is noticed
engine          opens the file, and keeps the promises of the contract

Writing:
state_loader    what a batch must know, in a few statements
batch_append    what a batch has decided, in a few statements
session         changes to tables as statements
bulk_insert     many rows in few statements
receipts        what requests were answered with, and for how long that is remembered

Reading:
reader          the questions
read_transaction several reads in one transaction
version_cache   versions that were read, until the next change
rows            columns and kinds of events in statements
lists           pages of lists, by conditions and orders, as of one revision
filter_sql      conditions and orders to SQL
index_candidates what versions are found by without a look at each
lineage         what came from what
holders         which versions hold the places of models, now or as of a revision
history         the events of a project, a model or a version, of some kinds or of all
as_of           models and versions as they were
answer_images   things as requests were answered with them, also what was purged since
integrity_check checks tables and indexes when the file is opened
event_integrity checks, whenever an event is read, that it is as it was recorded
images          where in the log the image of a thing as of a revision lies

Proving:
erase           overwrites content in the log, in the tables and in the bytes of the file
erasures        which events erased content of other events, and the proof of it
verification    proves that tables and log agree, and that the log was not changed
verify_worker   has one project proved by a process beside the server
verify_worker_process that process

Copying:
backup          copies a file while a server writes to it
offline_access  a file that is read beside its server, or changed while no server holds it
log_columns     the columns that an export consists of
log_export      the logs of a file to lines
export_stream   one log to lines, piece by piece, for callers who may be slow
log_import      lines to logs
"""
