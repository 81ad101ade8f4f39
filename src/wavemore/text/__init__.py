"""Text in, integer arrays out; no torch in this room."""
