"""Floor 6: the switch as one object, and the commands of the three tools."""
