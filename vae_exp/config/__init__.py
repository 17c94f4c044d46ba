"""Paths, schema, overrides and assembly: the config ends here. Imports from `architecture` and the floors below."""
