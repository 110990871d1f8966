"""Many runs: planned, prepared, launched, reported and retried."""
