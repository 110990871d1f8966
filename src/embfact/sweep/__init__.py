"""Many runs: planned, prepared, handed to a launcher, and reported."""
