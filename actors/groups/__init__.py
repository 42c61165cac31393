"""Groups, labels and rosters: who belongs together, who is expected where, and who of them has the least to do.

`rules` and `labels` are pure; `book` answers for everybody from memory; `actor` is the one who changes anything.
"""
