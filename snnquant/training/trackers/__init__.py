"""The package's own trackers, one file per program."""
