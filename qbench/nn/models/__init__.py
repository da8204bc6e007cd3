"""Networks by name, in float32 with activation slots; a scheme decides the rest."""
