"""Several machines on one machine: each host is a set of namespaces with its own disk, Podman store and address.

    with Lab(hosts=["m1", "w1"]) as lab:
        lab["w1"].run(["podman", "info"])
        lab.cut("m1", "w1")
        lab["w1"].power_off()

Nothing here needs the product; nothing leaves the machine: the hosts' bridge has no uplink.
"""

from tests.cluster.lab.host import CommandFailed, Host, HostProcess
from tests.cluster.lab.lab import Lab
from tests.cluster.lab.leaks import traces
from tests.cluster.lab.record import sweep
from tests.cluster.lab.segment import LabFailed

__all__ = ["CommandFailed", "Host", "HostProcess", "Lab", "LabFailed", "sweep", "traces"]
