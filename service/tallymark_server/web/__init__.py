"""The dashboard, and the methods over plain HTTP: one more edge of the registry, on a port of its own.

server      the listener: starts with the service, stops with it, and imports the rest when somebody may need it
routes      which address is answered by which page, and by which form
addresses   the links of the dashboard, and how names are written in them
request     one request as pages see it, and what pages answer
security    what keeps other sites out: hosts, origins, sizes, and the policy that browsers enforce
connections HTTP connections, which end when nothing comes or goes over them, and turns in which pages are made
request_bodies request bodies, read within bounds of size, time and memory
live        the stream by which open pages hear that something changed
coalescing  what many pages ask for at the same moment, made once
history     what the log tells of the past, read backwards and bounded
lineage_graph a lineage as a picture: who stands where, and what leads to whom
charts      the geometry of the pictures; templates put the ink on it
connect     the methods of the contract over HTTP, for curl, for browsers and for clients of Connect and gRPC-Web
protocols   how a call is made: Connect as one body or in envelopes, or gRPC-Web
envelopes   envelopes, what ends a stream, and gzip within bounds
codecs      messages from and to bytes, long ones in a thread
cors        the other sites whose pages may call
errors      errors as HTTP has them
protocol_errors refusals in the words of the caller's protocol
rendering   templates to text
formatting  values as people read them
markdown    descriptions as safe HTML
snippets    the same question in other languages, to copy
pages/      one module a page: what it shows, and what it is as JSON
actions/    one module a subject: forms that change the registry
templates/  the text of the pages
static/     style, script and the vendored library; nothing is loaded from elsewhere
"""
