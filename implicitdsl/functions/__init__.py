"""The functions of the language, one record each."""
