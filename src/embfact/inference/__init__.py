"""Using a finished run: scoring it on data, labelling new text, writing GLUE submission files."""

__all__ = ["evaluation", "labelling"]
