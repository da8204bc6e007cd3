"""The networks by name: float, with activation slots; a scheme decides the rest."""
