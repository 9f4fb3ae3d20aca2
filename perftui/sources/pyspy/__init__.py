"""Top calls of a running Python process, sampled by py-spy."""
