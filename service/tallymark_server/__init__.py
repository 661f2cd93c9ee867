"""The Tallymark service: one line in which every change is decided, and a log of what was decided.

The rooms, in reading order:

domain/     the rules, pure: what a name may be, how numbers are given, who holds a stage, what a repeated request means
storage/    the only room that speaks SQL: `contract` says what is promised, `sqlite` keeps it
writer      the one line: takes commands in turn, decides a batch, commits once, answers
heartbeats  by when the next heartbeat of each running run must arrive, and what happens when it does not
snapshots   questions, each answered from one committed state
clock       the time that events are given, unless the machine's clock has jumped ahead
registry    the door for every edge: commands go to the writer, questions to storage
filters/    filters and orders, read into conditions
page_tokens the tokens by which pages of lists follow each other
watch       the bell and the loop by which readers follow the log
rpc/        the gRPC edge: messages to commands, results to messages, errors to statuses
web/        the dashboard, on a port of its own, and the same methods over plain HTTP
settings    what an operator can set
local_sockets  Unix sockets to listen at
telemetry   the logs of the service, for people or for programs
importers/  other registries, told to the log by the same rules, with the times of then
progress    progress bars on a terminal
offline_commands the commands on files: backup, verify, export, import
import_commands  the commands that import another registry
serve_command the command `tallymark serve`
app         puts the rooms together, starts them and stops them in order
"""
