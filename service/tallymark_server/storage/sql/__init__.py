"""What relational engines share: changes to tables, which each engine makes with statements of its own.

tables      the tables of the projection
session     changes to them, as an engine makes them
projection  projects events to the tables
facts       what versions are found by
"""
