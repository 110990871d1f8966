"""What one run leaves on disk, and what is known of it: identity, status, record, predictions."""
