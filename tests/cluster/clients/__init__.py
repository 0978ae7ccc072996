"""Other people's clients against the real API server: kubectl and the Python client, unmodified.

The cluster is one process on a loopback address (hollow.py): a real master, and two workers with made-up containers.
Set ORCHESTR8_TEST_KUBECONFIG to run the same tests against any other cluster.
"""
