"""The dashboard, and the methods over plain HTTP, on a port of their own.

server      the listener: starts and stops with the service, and loads the rest in the background
routes      the addresses of pages and forms, and the application that serves them
addresses   the links of the dashboard, and names encoded in them
request     a request as the pages read it, and what they return
probes      answers of /healthz and /readyz
sign_in     the page of signing in, and the end of sessions
entry       the entry: who requests, before anything else of a request is read
security    protection from other sites: hosts, origins, and the policy that browsers enforce
connections HTTP connections with timeouts, and the limit of concurrently rendered pages
request_bodies request bodies, read within bounds of size, time and memory
live        the stream that reports changes to open pages
coalescing  one rendering for all viewers who request a page at the same time
history     reads of the log, backwards and bounded
lineage_graph the layout of the picture of a lineage
charts      the geometry of the charts, which the templates draw
connect     the methods of the contract over HTTP, for curl, browsers and clients of Connect and gRPC-Web
protocols   the protocol of a call: Connect, plain or in envelopes, or gRPC-Web
envelopes   envelopes, the end of a stream, and gzip within bounds
codecs      encoding and decoding of messages, long ones in a thread
cors        the origins whose pages may call
errors      errors as responses of HTTP
protocol_errors errors in the format of the caller's protocol
rendering   rendering of templates
formatting  values formatted for people
markdown    descriptions as safe HTML
snippets    code to copy that reads the same as a page
pages/      one module for each page, as HTML and as JSON
actions/    the forms that change the registry, by subject
templates/  the text of the pages
static/     style, script and the vendored library; nothing is loaded from other hosts
"""
