"""Alarms: what an operator has to know, told once, until it is over.

`rules` says what there is to watch, `judging`, `places` and `away` decide, all of them pure; `desk` keeps the state, in
the database first, `actor` drives it, `courier` carries the news to webhooks, mail and devices.
"""
