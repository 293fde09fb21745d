"""Random tables of rules with groups, and random packets that meet them: what two switches are compared with.

Everything comes out of one `random.Random`, and out of small pools of values, so that packets meet rules and rules overlap.
Only what Open vSwitch and Glasswitch both have is said, and what its match proves: `Writer` follows a list of actions.

    dice = random.Random(1)
    groups, rules = random_table(dice)
    port, frame = random_packet(dice)
"""

from bench.random_packets import ADDRESSES, ADDRESSES6, MACS, PORTS_OF_TRANSPORT, TTLS, VLANS

TYPES = {"ip": 0x0800, "tcp": 0x0800, "udp": 0x0800, "icmp": 0x0800, "sctp": 0x0800, "arp": 0x0806, "ipv6": 0x86DD, "tcp6": 0x86DD,
         "udp6": 0x86DD, "icmp6": 0x86DD, "mpls": 0x8847}
IPV4, IPV6 = ("ip", "tcp", "udp", "icmp", "sctp"), ("ipv6", "tcp6", "udp6", "icmp6")
TRANSPORT = ("tcp", "udp", "sctp", "tcp6", "udp6")
KINDS = ("", "", "ip", "ip", "tcp", "tcp", "udp", "icmp", "sctp", "arp", "ipv6", "tcp6", "udp6", "icmp6", "mpls")
OUTS = 4  # ports of a switch
GROUPS = 3


def number_mask(dice, value, bits, odds=0.4):
    """A value, sometimes with a mask."""
    if dice.random() > odds:
        return str(value)
    mask = dice.choice([(1 << bits) - 1 << dice.randrange(bits) & (1 << bits) - 1, dice.getrandbits(bits) or 1])
    return f"{value & mask:#x}/{mask:#x}"


def mac_mask(dice):
    """A MAC address, sometimes with a mask."""
    mac = dice.choice(MACS)
    if dice.random() < 0.7:
        return mac
    mask = dice.choice((0x010000000000, 0xFFFFFF000000, 0xFF, 0xFFFFFFFFFFFE))
    value = int(mac.replace(":", ""), 16) & mask
    return f"{value.to_bytes(6, 'big').hex(':')}/{mask.to_bytes(6, 'big').hex(':')}"


def ip_mask(dice):
    """An IPv4 address, a prefix, or one under any mask."""
    address = dice.choice(ADDRESSES)
    parts = int.from_bytes(bytes(map(int, address.split("."))), "big")
    if dice.random() < 0.4:
        return address
    length = dice.choice((8, 16, 23, 24, 25, 30, 31))
    mask = (1 << length) - 1 << 32 - length
    if dice.random() < 0.15:
        mask = 0x000000FF | dice.getrandbits(32) & 0xFF00
    return f"{dotted(parts & mask)}/{dotted(mask)}"


def dotted(value):
    """An IPv4 address in words."""
    return ".".join(map(str, value.to_bytes(4, "big")))


def ip6_mask(dice):
    """An IPv6 address or a prefix."""
    address = dice.choice(ADDRESSES6)
    return address if dice.random() < 0.5 else f"{address}/{dice.choice((16, 32, 64, 127))}"


def link_fields(dice):
    """Conditions on what every packet has."""
    said = []
    if dice.random() < 0.25:
        said.append(f"in_port={dice.randint(1, OUTS)}")
    if dice.random() < 0.15:
        said.append(f"dl_src={mac_mask(dice)}")
    if dice.random() < 0.2:
        said.append(f"dl_dst={mac_mask(dice)}")
    if dice.random() < 0.1:
        said.append(f"reg{dice.randrange(3)}={number_mask(dice, dice.randrange(4), 32)}")
    if dice.random() < 0.05:
        said.append(f"metadata={number_mask(dice, dice.randrange(4), 64)}")
    if dice.random() < 0.04:
        said.append(f"pkt_mark={number_mask(dice, dice.randrange(3), 32)}")
    return said


def vlan_fields(dice):
    """(a condition on the tag, whether it proves one)."""
    choice = dice.random()
    if choice < 0.6:
        return [], False
    if choice < 0.75:
        return [f"dl_vlan={dice.choice(VLANS)}"], True
    if choice < 0.8:
        return [f"dl_vlan={dice.choice(VLANS)}", f"dl_vlan_pcp={dice.choice((0, 5))}"], True
    if choice < 0.84:
        return [f"dl_vlan_pcp={dice.choice((0, 5))}"], True
    if choice < 0.9:
        return ["vlan_tci=0x1000/0x1000"], True
    return [dice.choice(("vlan_tci=0x1000/0x1fff", "vlan_tci=0", "vlan_tci=0xa000/0xe000", "dl_vlan=0xffff"))], False


def ip_fields(dice, kind):
    """Conditions on IP and what it carries."""
    said = []
    if kind in IPV4:
        said += [f"nw_src={ip_mask(dice)}"] if dice.random() < 0.35 else []
        said += [f"nw_dst={ip_mask(dice)}"] if dice.random() < 0.45 else []
    else:
        said += [f"ipv6_src={ip6_mask(dice)}"] if dice.random() < 0.3 else []
        said += [f"ipv6_dst={ip6_mask(dice)}"] if dice.random() < 0.4 else []
        said += [f"ipv6_label={number_mask(dice, dice.choice((0, 7)), 20)}"] if dice.random() < 0.1 else []
    said += [f"nw_ttl={dice.choice(TTLS)}"] if dice.random() < 0.08 else []
    said += [dice.choice(("nw_tos=40", "nw_tos=0", "nw_ecn=3", "ip_dscp=10"))] if dice.random() < 0.12 else []
    said += [f"nw_frag={dice.choice(('no', 'yes', 'first', 'later', 'not_later'))}"] if dice.random() < 0.08 else []
    if kind in ("ip", "ipv6"):
        said += [f"nw_proto={dice.choice((1, 6, 17, 47, 58))}"] if dice.random() < 0.15 else []
    if any(word in ("nw_frag=later", "nw_frag=yes") for word in said):
        return said
    if kind in TRANSPORT:
        for side in ("src", "dst"):
            said += [f"tp_{side}={number_mask(dice, dice.choice(PORTS_OF_TRANSPORT), 16)}"] if dice.random() < 0.35 else []
        if kind in ("tcp", "tcp6") and dice.random() < 0.1:
            said.append(f"tcp_flags={number_mask(dice, dice.choice((2, 16, 18)), 12)}")
    elif kind in ("icmp", "icmp6") and dice.random() < 0.5:
        types = (0, 8, 3) if kind == "icmp" else (128, 135, 136)
        chosen = dice.choice(types)
        said.append(f"icmp_type={chosen}")
        if dice.random() < 0.5:
            said.append("icmp_code=0")
            said += [f"nd_target={ip6_mask(dice)}"] if chosen > 128 and dice.random() < 0.7 else []
    return said


def other_fields(dice, kind):
    """Conditions on ARP and MPLS."""
    said = []
    if kind == "arp":
        said += [f"arp_spa={ip_mask(dice)}"] if dice.random() < 0.3 else []
        said += [f"arp_tpa={ip_mask(dice)}"] if dice.random() < 0.4 else []
        said += [f"arp_op={dice.choice((1, 2))}"] if dice.random() < 0.4 else []
        said += [f"arp_sha={mac_mask(dice)}"] if dice.random() < 0.2 else []
    elif kind == "mpls":
        said += [f"mpls_label={dice.choice((0, 16, 100))}"] if dice.random() < 0.5 else []
        said += [f"mpls_bos={dice.choice((0, 1))}"] if dice.random() < 0.3 else []
        said += [f"mpls_tc={dice.choice((0, 5))}"] if dice.random() < 0.2 else []
        said += [f"mpls_ttl={dice.choice(TTLS)}"] if dice.random() < 0.1 else []
    return said


class Writer:
    """A list of actions, each possible where it stands: `kind` and `tagged` are what is proven there."""

    def __init__(self, dice, kind, tagged, where):
        self.dice, self.kind, self.tagged, self.where = dice, kind, tagged, where
        # which of how many tables; whether labels that came in are popped there; whether frames are cut, and then none changes its length
        self.table, self.tables, self.pops, self.cuts = where
        self.calm = False  # nothing that changes what is proven
        self.old = False  # in OpenFlow 1.0
        self.alone = True  # no copy
        self.covered = []  # what the labels cover that were pushed here

    def words(self, n):
        """`n` actions."""
        return [word for word in (self.word() for _ in range(n)) if word]

    def word(self):
        """One action."""
        dice = self.dice
        makers = [(30, self.output), (14, self.link), (10, self.register), (8, self.vlan), (4, self.mpls), (14, self.network),
                  (8, self.transport), (12, self.jump), (5, self.branch), (5, self.odd)]
        return dice.choices([maker for _, maker in makers], [weight for weight, _ in makers])[0]()

    def output(self):
        """Send."""
        dice = self.dice
        choice = dice.random()
        if choice < 0.72:
            return f"output:{dice.randint(1, OUTS)}"
        if choice < 0.92:
            cut = [f"output(port={dice.randint(1, OUTS)},max_len=60)"] * self.cuts
            return dice.choice(("in_port", "flood", "all", "output:reg0[0..15]", "controller", *cut))
        return "normal"

    def link(self):
        """Write addresses."""
        dice = self.dice
        side = dice.choice(("src", "dst"))
        mac = dice.choice(MACS)
        masked = mac if self.old else mac_mask(dice)  # in OpenFlow 1.0 Open vSwitch writes the bits outside the mask, too
        return dice.choice((f"mod_dl_{side}:{mac}", f"set_field:{mac}->eth_{side}", f"set_field:{masked}->eth_{side}",
                            "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]", "move:eth_dst[0..15]->eth_src[8..23]",
                            f"load:{dice.randrange(4)}->NXM_OF_ETH_DST[4..11]", "push:eth_src[],pop:eth_dst[]"))

    def register(self):
        """Write and move what is in no packet."""
        dice = self.dice
        n, m = dice.randrange(3), dice.randrange(3)
        value = dice.randrange(5)
        said = [f"load:{value}->reg{n}[]", f"set_field:{value}->reg{n}", f"set_field:{value & 3}/0x3->reg{n}",
                f"load:{value}->reg{n}[2..9]", f"move:reg{n}[0..7]->reg{m}[8..15]", f"move:eth_src[0..15]->reg{n}[0..15]",
                f"load:{value}->metadata[]",
                f"set_field:{value}->pkt_mark", f"push:reg{n}[],pop:reg{m}[]", "move:in_port[]->reg0[0..15]",
                f"load:{value}->xreg{n}[]", "move:eth_dst[]->xreg1[0..47]", f"move:reg{n}[0..3]->eth_dst[0..3]"]
        if self.kind in IPV4:
            said += [f"move:nw_src[]->reg{n}[]", f"move:nw_ttl[]->reg{n}[0..7]", "move:nw_dst[0..7]->reg0[0..7]"]
        return dice.choice(said)

    def vlan(self):
        """Push, pop and write tags."""
        dice = self.dice
        if self.cuts:  # Open vSwitch cuts a frame as long as it was before
            return ""
        if self.calm:
            return dice.choice(("pop_vlan", "push_vlan:0x8100"))
        choice = dice.randrange(5)
        if self.old:
            self.tagged = choice < 4
            return (f"mod_vlan_vid:{dice.choice(VLANS)}", f"mod_vlan_pcp:{dice.choice((0, 5))}", "strip_vlan")[choice // 2]
        if choice < 3 or not self.tagged:
            self.tagged = True
            return f"push_vlan:{dice.choice(('0x8100', '0x8100', '0x88a8'))}"
        if choice == 3:
            self.tagged = False
            return "pop_vlan"
        return dice.choice((f"set_field:{4096 + dice.choice(VLANS)}->vlan_vid", f"set_field:{dice.choice((0, 5))}->vlan_pcp",
                            "move:vlan_vid[0..11]->reg0[0..11]"))

    def mpls(self):
        """Push, pop and write labels."""
        dice = self.dice
        if self.calm or self.old or self.cuts or (self.kind != "mpls" and dice.random() < 0.5):
            return ""
        choice = dice.randrange(4)
        if self.kind != "mpls" or (choice == 0 and not self.pops):
            if self.pops:  # of a label that covers something else than the pop says, Open vSwitch makes nothing at all
                return ""
            self.covered.append("ip" if self.kind in IPV4 else "ipv6" if self.kind in IPV6 else self.kind)
            self.kind = "mpls"
            return "push_mpls:0x8847"
        kind = self.covered[-1] if self.covered else dice.choice(("ip", "ip", "ipv6", "mpls")) if self.pops else ""
        if choice == 1 and kind in ("ip", "ipv6", "mpls"):
            self.kind = kind
            self.covered = self.covered[:-1]
            return {"ip": "pop_mpls:0x0800", "ipv6": "pop_mpls:0x86dd", "mpls": "pop_mpls:0x8847"}[kind]
        return dice.choice(("dec_mpls_ttl", "set_mpls_ttl(9)", "set_mpls_label(100)", "set_mpls_tc(5)", "set_field:77->mpls_label",
                            "move:mpls_label[0..3]->reg1[0..3]"))

    def network(self):
        """Write IP and ARP."""
        dice, kind = self.dice, self.kind
        if kind == "arp":
            return dice.choice((f"set_field:{dice.choice(ADDRESSES)}->arp_spa", "set_field:2->arp_op",
                                f"set_field:{dice.choice(MACS)}->arp_sha", "move:arp_spa[]->arp_tpa[]", "move:arp_sha[]->arp_tha[]"))
        if kind in IPV4:
            return dice.choice((f"mod_nw_src:{dice.choice(ADDRESSES)}", f"mod_nw_dst:{dice.choice(ADDRESSES)}", "mod_nw_tos:40", "dec_ttl",
                                f"set_field:{dice.choice(ADDRESSES) if self.old else ip_mask(dice)}->ip_dst",
                                f"load:{dice.randrange(256)}->nw_src[0..7]", "mod_nw_ttl:9",
                                "move:nw_src[]->nw_dst[]", "mod_nw_ecn:2", "set_field:10->ip_dscp",
                                "push:nw_src[],push:nw_dst[],pop:nw_src[],pop:nw_dst[]",
                                "set_field:77->nw_ttl"))
        if kind in IPV6:
            return dice.choice((f"set_field:{dice.choice(ADDRESSES6)}->ipv6_src", f"set_field:{dice.choice(ADDRESSES6)}->ipv6_dst",
                                "set_field:9->ipv6_label", "dec_ttl", "mod_nw_tos:40", "move:ipv6_src[]->ipv6_dst[]",
                                "load:7->ipv6_dst[60..67]", "move:ipv6_src[0..63]->ipv6_dst[0..63]",
                            "push:ipv6_src[0..63],pop:ipv6_dst[64..127]",
                                f"set_field:::5{'' if self.old else '/::f'}->ipv6_src", "mod_nw_ttl:3"))
        if not self.old:
            return ""
        return dice.choice(("mod_nw_src:10.0.0.9", "mod_nw_tos:40", "mod_nw_dst:10.0.0.9", *(["mod_tp_dst:99"] if kind else [])))

    def transport(self):
        """Write ports."""
        dice, kind = self.dice, self.kind
        if kind in TRANSPORT:
            name = kind.rstrip("6")
            port = "80" if self.old else number_mask(dice, 80, 16)
            return dice.choice((f"mod_tp_src:{dice.choice(PORTS_OF_TRANSPORT)}", f"mod_tp_dst:{dice.choice(PORTS_OF_TRANSPORT)}",
                                f"set_field:{port}->{name}_dst", f"move:{name}_src[]->{name}_dst[]",
                                f"load:1->{name}_src[3]", f"move:{name}_dst[]->reg0[0..15]"))
        if kind == "icmp":
            return dice.choice(("set_field:3->icmp_type", "set_field:1->icmp_code"))
        return ""

    def jump(self):
        """On to other tables."""
        dice = self.dice
        if self.table + 1 >= self.tables:
            return ""
        table = dice.randrange(self.table + 1, self.tables)
        return dice.choice((f"resubmit(,{table})", f"resubmit(,{table})", f"resubmit({dice.randint(1, OUTS)},{table})"))

    def branch(self):
        """Copies."""
        dice = self.dice
        if self.calm or dice.random() < 0.5:
            return f"group:{dice.randint(1, GROUPS)}"
        inner = Writer(dice, self.kind, self.tagged, self.where)
        inner.old, inner.alone = self.old, False
        words = inner.words(dice.randint(1, 3))
        return f"clone({','.join(words)})" if words else ""

    def odd(self):
        """What has little to do with packets."""
        dice = self.dice
        # behind it, Open vSwitch takes back for whoever resubmitted, or cloned, what was changed: only what follows in the list sees it
        first = ["check_pkt_larger(80)->reg0[0]"] * (self.table == 0 and self.alone)
        return dice.choice(("note:01.02", "exit", "set_field:5->tun_id", *first))


def random_rule(dice, where, priority):
    """One rule."""
    kind = dice.choice(KINDS)
    tag, tagged = vlan_fields(dice)
    match = ([kind] if kind else []) + link_fields(dice) + tag
    match += ip_fields(dice, kind) if kind in IPV4 + IPV6 else other_fields(dice, kind)
    table, tables, *_ = where
    writer = Writer(dice, kind, tagged, where)
    writer.old = old = dice.random() < 0.25 or any(part.startswith("vlan_tci") for part in tag)  # which OXM cannot say
    words = writer.words(dice.choice((0, 1, 1, 2, 3, 4, 6)))
    if not old and dice.random() < 0.12:
        writer.calm = True
        collected = [word for word in writer.words(dice.randint(1, 3)) if in_set(word)]
        words += [dice.choice(("clear_actions", ""))] + ([f"write_actions({','.join(collected)})"] if collected else [])
    if not old and dice.random() < 0.05:
        words.append(f"write_metadata:{dice.randrange(4)}/0x3")
    if not old and table + 1 < tables and dice.random() < 0.12:
        words.append(f"goto_table:{dice.randrange(table + 1, tables)}")
    words = [word for word in words if word]
    taken = "".join("," + part for part in match)
    return f"{'cookie=10,' if old else ''}table={table},priority={priority}{taken},actions={','.join(words) or 'drop'}"


def in_set(word):
    """Whether an action may stand in an action set."""
    return not word.startswith(("resubmit", "note", "exit", "check", "clone", "push:", "output(", "output:reg", "controller", "mod_"))


def random_group(dice, number, cuts):
    """One group; of a chosen hash two switches know nothing in common, so none has one."""
    kind = dice.choice(("all", "all", "indirect", "ff"))
    buckets = []
    for _ in range(1 if kind == "indirect" else dice.randint(1, 3)):
        writer = Writer(dice, "", False, (0, 1, True, cuts))
        writer.calm = True
        words = [word for word in writer.words(dice.randint(1, 3)) if in_set(word) and "group" not in word]
        watch = f"watch_port:{dice.randint(1, OUTS)}," if kind == "ff" else ""
        buckets.append(f"bucket={watch}actions={','.join(words) or 'drop'}")
    return f"group_id={number},type={kind},{','.join(buckets)}"


def random_table(dice):
    """(groups, rules) in ovs-ofctl's words."""
    tables, pops, cuts = dice.randint(2, 6), dice.random() < 0.5, dice.random() < 0.25
    groups = [random_group(dice, number, cuts) for number in range(1, GROUPS + 1)]
    priorities = dice.sample(range(1, 200), dice.randint(5, 40))  # of two rules with the same one either may win
    rules = [random_rule(dice, (0 if n < 3 else dice.randrange(tables), tables, pops, cuts), priority)
             for n, priority in enumerate(priorities)]
    if dice.random() < 0.7:
        rules.append(f"table=0,priority=0,actions=resubmit(,{dice.randrange(1, tables)}),output:{dice.randint(1, OUTS)}")
    return groups, rules
