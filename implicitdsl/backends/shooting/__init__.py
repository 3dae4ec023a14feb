"""`bvp` by multiple shooting, out of the engines of whichever back end: flows of segments and explicit functions."""
