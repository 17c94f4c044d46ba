"""Everything on disk: run and sweep directories, metrics, checkpoints, tables, reports. Imports from `config` down."""
