"""What a log is, without SQL: the same for every engine.

chain       digests of events, and the chain of hashes over them
seals       what proves an event, also one whose content was erased
event_rows  events to rows of the log, and back
replay      replays a log event by event, and reports what is wrong with it
lines       the format of each line of an export
exporter    a log to lines
importer    lines to a log
"""
