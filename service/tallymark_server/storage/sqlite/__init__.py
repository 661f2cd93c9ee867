"""The storage on one SQLite file.

schema/    the tables, by numbered steps
migrate    applies those steps, forward only
lock       lets one process at a time hold the file
rows       rows to things
loading    what a batch must know, in a few statements
appending  what a batch has decided, in a few statements
projecting what events make true, told to the tables
reading    the questions
listing    pages of lists, by conditions and orders, as of one revision
past       models and versions as they were
lineage    what came from what
replaying  a log event by event, and what is wrong with it
verifying  proves that tables and log agree, and that the log was not changed
proving    has one project proved by a process beside the server
errand     that process
offline    a file that is read beside its server, or changed while no server holds it
copying    copies a file while a server writes to it
lines      the lines of an export
exporting  logs to lines
importing  lines to logs
telling    the lines of one log, and whether it follows from itself
pieces     logs to lines, piece by piece, for callers who may be slow
threaded   a connection with a thread of its own
engine     opens the file, and keeps the promises of the contract
"""
