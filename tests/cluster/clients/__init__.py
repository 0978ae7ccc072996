"""Clients against the real API server: kubectl and the Python client, unmodified, and our own command line.

The cluster is the lab's: three masters and two workers with Podman. ORCHESTR8_TEST_CLIENTS=hollow runs the same tests
in a minute and without root on one process (hollow.py): a real master, and two workers with made-up containers. Any
other value is the kubeconfig of any other cluster.
"""
