"""What every relational engine does alike, by changes to tables; each engine renders these as statements of its own.

projection  projects events to the tables
"""
