"""Tunnels: headers pushed and popped, what lies inside them, routes and neighbours."""
