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
offline    a file that is read beside its server, or changed while no server holds it
copying    copies a file while a server writes to it
lines      the lines of an export
exporting  logs to lines
importing  lines to logs
engine     opens the file, and keeps the promises of the contract
"""
