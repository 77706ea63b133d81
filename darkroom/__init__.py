"""The root: wires the parts, runs them and stops them."""
