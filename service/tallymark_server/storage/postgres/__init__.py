"""The storage on a database of PostgreSQL, which any number of servers share.

schema/         the tables, by numbered steps
migrate         applies those steps, forward only
connections     connects to the server, and lends connections
durability      refuses servers whose settings break the promises of the contract
errors          errors of PostgreSQL as those of the contract
"""
