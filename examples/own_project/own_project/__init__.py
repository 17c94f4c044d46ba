"""Parts of one's own: a network, a likelihood, a data source."""
