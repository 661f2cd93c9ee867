"""The clients, blocking and for asyncio, and how calls reach the service.

calls/               one function for each method of the service, which builds its request and reads its answer
blocking             `Client`
aio                  `AsyncClient`
access               `Client.access`: tokens, service accounts and grants; `aio_access` is that of `AsyncClient`
argument_checks      checks of arguments by the annotations of methods
fork_gate            no fork while a call is within gRPC
channel              the connection: deadlines, retries, forks
replicas             choice of one of the addresses of a service
headers              the headers of calls, with the token
repetitions          repetitions of a call that a limit has refused
statuses             errors for the statuses of calls
first_contact        diagnosis of a service that does not answer
findings             causes that the diagnosis finds, and what to do
tls                  TLS: what is trusted, this program's certificate, channels
proxies              choice of a proxy between this process and a service
messages             conversion of the contract's messages to the SDK's types and back
metadata_messages    conversion of metadata, times and durations to messages and back
"""
