"""The storage on one SQLite file.

schema/    the tables, by numbered steps
migrate    applies those steps, forward only
lock       lets one process at a time hold the file
rows       rows to things
loading    what a batch must know, in a few statements
appending  what a batch has decided, in a few statements
reading    the questions
verifying  proves that tables and log agree, and that the log was not changed
engine     opens the file, and keeps the promises of the contract
"""
