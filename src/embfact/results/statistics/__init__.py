"""What may be concluded from the runs of a sweep: tests, intervals and summaries over seeds and examples."""
