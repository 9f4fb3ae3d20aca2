"""The rules of the catalogue, one file for each part of a snapshot."""
