"""The headers, one file a protocol, all alike."""
