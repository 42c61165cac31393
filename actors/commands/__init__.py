"""Commands: an operator asks devices to do something, and is told what became of it.

`messages` is what is asked, `steps` what it does to the database, `book` what is open now, `actor` carries it out.
"""
