"""Tables generated from the standard by scripts/."""
