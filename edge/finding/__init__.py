"""How an edge finds its server: the places to look at, one after the other, and the proof that it is the right one."""
