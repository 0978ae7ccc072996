"""What each verb does: objects.py for get to delete, lists.py, watch.py, and the subresources, streams and reviews.

writes.py is how a change gets into the store, selection.py which objects are meant, options.py how a write is meant.
"""
