"""The commands of the command line, one a file.

A module here imports at its top only what its signature needs, since ``darkroom --help`` loads them all; what a command
works with is imported when it runs (PLC0415 is off here for that). cyclopts reads the annotations at run time, so they
are not postponed.
"""
