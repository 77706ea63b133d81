"""Settings: the one TOML file, checked."""
