"""`python unprivileged.py PROGRAM ARGUMENTS...`: become that program, as user "nobody" if this user is root.

PostgreSQL refuses to run as root. Python itself could change the user between fork and exec, but not in a process that
uses gRPC, which does not survive such a fork while other threads call it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

NOBODY = 65_534
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Give up the rights of root, end with the parent, even if that is killed, and become the program."""
    parent = os.getppid()
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
    if os.getppid() == parent:  # else it has ended meanwhile
        os.execv(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
