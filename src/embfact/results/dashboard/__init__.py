"""The dashboard: a sweep as one interactive page that needs no network, or live while the sweep runs.

`sweep.py` reads the disk, `payload.py` makes the data compact, `html.py` fills `page/`, `server.py` serves it live.
Light to import: no torch, no scipy.
"""

__all__: list[str] = []
