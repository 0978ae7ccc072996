"""orchestr8: one program that turns Linux hosts into a cluster which runs pods through Podman."""

__version__ = "0.1.0"
