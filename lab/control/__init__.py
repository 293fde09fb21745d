"""Floor 7: the switch as one object, and the commands of the three tools."""
