"""Who may use the broker: for each device a user of its own, held to the topics that bear its name.

`accounts` says what a user may do, `dynsec` and `files` are the two mechanisms that have Mosquitto do it, `actor` keeps
the broker at what the database says, `front` is what the rest of the server is given.
"""
