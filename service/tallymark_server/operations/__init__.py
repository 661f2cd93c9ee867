"""What operators see of a running service, and what it does by itself for them.

metrics     the figures for Prometheus, as an observer of the service
figures     those that are read at the time of a scrape: queue, logs, watchers, files
event_loop  how late the event loop is
endpoint    the address of the metrics, and of the probes
"""
