"""Text to tree and back: grammar, reader, tree, printer."""
