"""Run records: what is written of a run, and the tables made of it."""
