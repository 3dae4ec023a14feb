"""What a text means: names, sizes, equations, curvature, and the problem that it states."""
