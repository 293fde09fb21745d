"""What people read of a translation and of the datapath: the ledger, OVS's story, the datapath's own words."""
