"""The command line: one file per family of verbs in verbs/, what they share beside it.

The path of `orchestr8 get` imports click, http.client, ssl and yaml, and nothing of the daemons: a command that a
person waits for starts in a tenth of a second (tests/unit/cli/test_startup.py).
"""
