"""`python -m tallymark_server`: the same as `tallymark serve`."""

from tallymark_server.serve_command import serve

if __name__ == "__main__":
    serve()
