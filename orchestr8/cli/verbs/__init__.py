"""One module a family of verbs; main.py's table says which."""
