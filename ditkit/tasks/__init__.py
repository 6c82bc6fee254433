"""One file per command: typed configuration in, a report out. Below this package nobody has heard of configuration."""
