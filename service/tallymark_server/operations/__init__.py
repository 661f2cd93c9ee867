"""What operators see of a running service, and what it does by itself for them.

metrics     the figures for Prometheus, as an observer of the service
call_figures how often methods are called, how calls end, and how long they take
figures     those that are read at the time of a scrape: queue, logs, watchers, files
tracing     traces by OpenTelemetry, as another observer
observers   two observers as one
event_loop  how late the event loop is
backups     backups by themselves: a process for each, so that the service goes on
backup_process the program that makes a backup, verifies it, and removes old ones
backup_folder the place of backups: a folder or the URL of one
restore     a backup, verified and placed as a new file
version_counts the versions of projects with a quota of them
endpoint    the address of the metrics, and of the probes
"""
