"""What the interpreter, the process and the machine give or ask of a program that records.

machine          the names of the machine and its user, and where the user's contexts are
headroom         room to record in, for programs that recurse up to Python's limit
termination      SIGTERM, which ends the runs of the process as failed
caller_warnings  warnings that point at the line of the user's program
"""
