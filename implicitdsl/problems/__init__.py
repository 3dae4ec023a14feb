"""Problems, one kind a file, and the functions derived from each."""
