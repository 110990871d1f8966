"""How the runs of a sweep are started: one after another, side by side, or on other machines."""
