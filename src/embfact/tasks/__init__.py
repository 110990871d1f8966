"""What a model is fine-tuned for, and how it is scored."""

__all__: list[str] = []
