"""Who calls, and what each caller may do.

callers     a caller with its grants, what it presents to be known by, and the interface that authenticates it
"""
