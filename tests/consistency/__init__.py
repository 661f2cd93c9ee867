"""A consistency check: whether the answers to concurrent clients agree with the log and with their order in time.

history   requests and their answers, with times
expected  the exported log, and the expected state as of each revision
workload  random requests of every method
clients   clients that send them, some twice at the same time, cancelled or repeated
checker   the check of a history against the log
answers   whether an answer matches the log as of a revision
projects  the check of answers about projects
report    the report of a check
refusals  whether a refusal matches the log as of a revision
"""
