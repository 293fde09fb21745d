"""The options of tunnel ports, as ovs-vsctl sets and prints them. What they mean is the port's to know."""

IN_OVS = {"df_default": "df", "in_key": "key", "out_key": "key"}  # what has another name here


def tunnel_options(port):
    """The options of a tunnel port that differ from the defaults; of any other port none."""
    settings = getattr(port, "settings", None)
    return {} if settings is None else settings.said(port.type)


def set_tunnel(port, given):
    """Change options of a tunnel port that is there."""
    port.configure(**{IN_OVS.get(name, name): value for name, value in given.items()})
