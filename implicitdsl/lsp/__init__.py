"""The language server: what an editor asks of a text, answered by plain functions; `server.py` wires them to pygls."""
