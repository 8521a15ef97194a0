"""Python objects that a library asks for while it is loaded, by key. Empty at all other times."""
table = {}
