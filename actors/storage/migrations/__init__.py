"""The steps that brought the tables to their present form, applied in the order of their numbers."""
