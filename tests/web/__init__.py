"""The HTTP face, against fakes."""
