"""What the stage `actions` performs, one file a kind: fields and their checksums, tags, labels, copies, meters, recirculation."""
