"""The Tallymark service: one writer that decides every change in order, and one log of what was decided.

The modules, in reading order:

domain/     the rules, without I/O: names, numbers, stages, and what a repeated request means
storage/    the only package with SQL: `contract` defines the storage engine, `sqlite` implements it
observer    what the parts show of their work to metrics and traces
availability  whether the storage takes changes
writer      the one queue of commands: decides a batch in order, commits once, answers
heartbeats  the deadline of each running run's next heartbeat, after which the run is lost
signs_of_life  which runs are alive, for other servers on the same storage
snapshots   reads, each from one committed state
clock       the time of events, guarded against jumps of the machine's clock
registry    the interface for every edge: commands go to the writer, reads to storage
filters/    filters and orders, parsed into conditions
page_tokens the tokens of pages of lists
watch       the signal and the loop with which readers follow the log
access/     who calls, and what each caller may do
identity/   callers that identity providers and authorities of certificates vouch for
rpc/        the gRPC edge: converts messages to commands, results to messages, and errors to statuses
web/        the dashboard, on a port of its own, and the same methods over plain HTTP
access_control what knows callers, and where people sign in, for the settings
operations/ metrics for Prometheus, on an address of their own, with the probes
settings    the settings of an operator
certificates the certificate of TLS, renewed without a restart
exposure     which addresses other machines reach, and what is needed there
local_sockets  Unix sockets to listen on
telemetry   the logs of the service, for people or for programs
importers/  the import of other registries, by the same rules and with their own times
progress    progress bars on a terminal
command_errors   errors of the commands on files, as messages of one sentence
access_commands  what commands without a service do about access
offline_commands the commands on files: backup, verify, export, import
import_commands  the commands that import another registry
serve_command the command `tallymark serve`
app         the server: all of its parts, started and stopped in order
"""
