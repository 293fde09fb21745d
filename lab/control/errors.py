"""`CommandError`, where `lab` looks for it; it is written on the floor of the rules, which raise it first."""
from lab.openflow.errors import CommandError

__all__ = ["CommandError"]
