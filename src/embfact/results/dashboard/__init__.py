"""The dashboard: a sweep as one interactive page that needs no network, or followed while it runs.

`sweep.py` reads what is on disk, `payload.py` makes it small, `html.py` puts it into `page/`, `server.py` follows it.
Light to import: no torch, no scipy.
"""
