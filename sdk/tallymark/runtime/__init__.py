"""The interpreter, the process and the machine on which a program records.

machine          names of the machine and its user, the path of the user's contexts, and whether it is a notebook
headroom         a higher recursion limit while recording in deep recursion
termination      handling of SIGTERM: the runs of the process end as failed
spans            spans of runs and steps by OpenTelemetry
caller_warnings  warnings that point at the line of the user's program
"""
