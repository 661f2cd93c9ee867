"""The storage on one SQLite file.

The file:
schema/         the tables, by numbered steps
migrate         applies those steps, forward only
rechaining      gives logs of earlier releases the digests and hashes of now
run_states      gives versions whose log lacks it the state of their run
lock            lets one process at a time hold the file
connecting      connects to the file
threaded        a connection with a thread of its own
shrinking       keeps the write-ahead log small
heads           keeps beside the file where each log ends, so that a lost end is noticed
engine          opens the file, and keeps the promises of the contract

Writing:
loading         what a batch must know, in a few statements
appending       what a batch has decided, in a few statements
projecting      what events make true, told to the tables
inserting       many rows in few statements
receipts        what requests were answered with, and for how long that is remembered

Reading:
reading         the questions
known           versions that were read, until the next change
rows            rows to things
listing         pages of lists, by conditions and orders, as of one revision
conditions      conditions and orders to SQL
finding         what versions are found by without a look at each
lineage         what came from what
holders         which versions hold the places of models, now or as of a revision
history         the events of a project, a model or a version, of some kinds or of all
past            models and versions as they were
then            things as requests were answered with them, also what was purged since
checking        checks tables and indexes when the file is opened
wholeness       whether an event is as it was recorded, asked whenever it is read
images          where in the log the image of a thing as of a revision lies

Proving:
erasing         overwrites content in the log, in the tables and in the bytes of the file
erasures        which events erased content of which others, and the proof of it
verifying       proves that tables and log agree, and that the log was not changed
replaying       a log event by event, and what is wrong with it
prover          has one project proved by a process beside the server
prover_process  that process

Copying:
copying         copies a file while a server writes to it
offline         a file that is read beside its server, or changed while no server holds it
lines           each line of an export
log_lines       the lines of one log, and whether it follows from itself
exporting       the logs of a file to lines
streaming       one log to lines, piece by piece, for callers who may be slow
importing       lines to logs
"""
