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
verifying  proves that tables and log agree, and that the log was not changed
engine     opens the file, and keeps the promises of the contract
"""
