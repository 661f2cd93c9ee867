"""Who calls, and what each caller may do.

callers     a caller with its grants, what it presents to be known by, and the interface that authenticates it
book        tokens, service accounts and grants in memory, over their store
chain       the authenticator of a server, which picks by what a call presents
first_token the first token of an admin
door        the one door: who calls, and whether that caller may do what it requests
refusals    how often unknown callers are refused, and whose connections are closed
pacing      few calls in each interval
limits      limits of each caller and quotas of each project
limit_settings the tables of the file of settings with limits and quotas
access_log  a line of JSON for each call and page
oversight   what limits, quotas and the access log see of a call
"""
