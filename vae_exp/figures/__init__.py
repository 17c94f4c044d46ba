"""Draw figures of models and of their metrics; the published curves. Imports from `architecture` and below."""
