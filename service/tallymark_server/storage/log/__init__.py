"""What a log is, without SQL: the same for every engine.

chain       digests of events, and the chain of hashes over them
lines       each line of an export
exporter    the lines of one log, and whether it follows from itself
replay      a log event by event, and what is wrong with it
"""
