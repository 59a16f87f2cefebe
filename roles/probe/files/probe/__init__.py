"""An outside client of the API: it calls all through a release, and tells how that went.

Modules, from the top: ``__main__`` commands, then ``run`` and what it is made of, then what the
commands share. ``page`` and ``chart`` draw the report.
"""
