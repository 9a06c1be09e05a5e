"""The pages of docs/: the programs that they show, and the site that `make docs` builds of them."""
