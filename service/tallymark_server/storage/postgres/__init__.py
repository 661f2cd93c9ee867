"""The storage on a database of PostgreSQL, which any number of servers share.

The database:
schema/         the tables, by numbered steps
migrate         applies those steps, forward only
connections     connects to the server, with the settings that the engine relies on
durability      refuses servers whose settings break the promises of the contract
lending         lends connections
exchange        sends statements together, and returns all of their answers after one round trip
errors          errors of PostgreSQL as those of the contract
attempts        makes another attempt at work that was undone, or that had lost its connection
engine          opens the database, and keeps the promises of the contract

Transactions:
transaction     the transaction of one write, which holds the row of its project
session         one transaction, whose changes are sent together
changes         changes to tables as statements
dialect         the words of PostgreSQL in statements that engines share
images          checks, whenever an event is read, that it is as it was recorded
reading         the reads of the contract

Beside the log:
signs           signs of life of runs, by the clock of the database
access_tables   tokens, grants and sessions, which all servers on the database share

Following:
following       sends other servers notices of logs that have grown, and hears theirs
"""
