"""A real Home Assistant, headless, that reads what a node announces."""
