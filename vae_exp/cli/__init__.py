"""The commands, their help and their messages. Imports from every floor, torch only when a command needs it."""
