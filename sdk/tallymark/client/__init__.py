"""The clients, blocking and for asyncio, and how calls reach the service.

calls/               one function for each method of the service: what to send, and how to read the answer
blocking             `Client`
aio                  `AsyncClient`
argument_checks      arguments that are not what a signature says
channel              the connection: deadlines, retries, forks
statuses             statuses of calls to errors
first_contact        why a service does not answer
proxies              which proxy stands between this process and a service
messages             messages of the contract to and from what users see
metadata_messages    values of metadata, times and durations to and from messages
"""
