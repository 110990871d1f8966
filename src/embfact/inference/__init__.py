"""What is done with a finished run: scoring it on data, labelling new text, writing GLUE's submission files."""
