"""The command line: one file per command. Each imports what it needs inside the command."""
