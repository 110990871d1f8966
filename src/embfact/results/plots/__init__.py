"""Pictures of a sweep, made from records and learning curves alone: what each shows, its look, and its file."""
