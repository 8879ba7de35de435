"""The steps of the database's form, as numbered SQL that SQLite and PostgreSQL both read.

A step is never changed once it has been released; the next change is the next number.
"""
