"""What a release is made of: `version` says which one, the other modules build its files."""
