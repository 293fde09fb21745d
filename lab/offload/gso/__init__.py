"""GSO: whether an output port takes a large packet, and how one is cut that it does not take."""
