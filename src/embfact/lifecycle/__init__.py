"""The life of a run: its status, the lock on its directory, what interrupts it, and how it goes on afterwards."""
