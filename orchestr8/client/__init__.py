"""For whoever talks to a cluster from outside: kubeconfig, discovery, the three-way merge of apply, and a typed client.

Nothing is imported here: the command line uses the pure modules without loading the ones that need anyio.
"""
