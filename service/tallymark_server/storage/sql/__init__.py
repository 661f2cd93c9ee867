"""What relational engines share: the queries, and the changes to tables, written once in the words of a dialect.

An engine implements `session.Session` and `dialect.Dialect`.

tables          the tables, their columns and keys
dialect         the words in which the SQL of engines differs
statement       statements in these words
session         reads and changes of tables, as an engine makes them
pages           how much fits into a page

Writing:
state_loader    loads the state that a batch needs, in a few statements
batch_append    writes what a batch has decided
projection      projects events to the tables
facts           what versions are found by
receipts        the answers to requests, and how long they are kept

Reading:
reader          the reads
lists           pages of lists, by conditions and orders, as of one revision
filters         conditions and orders to SQL
index_candidates finds versions for a filter in indexes, without reading each
lineage         what came from what
history         the events of a project, a model or a version, of some kinds or of all
event_columns   columns and kinds of events in statements
images          finds the image of a resource as of a revision in the log
holders         which versions hold the places of models, now or as of a revision
last_numbers    the highest number of a model as of a revision
as_of           models and versions as they were
answer_images   resources as requests returned them, even if they were purged since

Logs as a whole:
log_columns     the columns that an export consists of
log_pieces      one log to lines, piece by piece, for callers that may be slow
log_import      the tables into which logs are imported
erase           overwrites content in the log and in the tables
erasures        which events erased content of other events, and the proof of it
run_states      adds the state of their run to versions whose log lacks it
"""
