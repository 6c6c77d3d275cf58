"""What a fleet says: frozen, strict, typed values. No file, clock or network is known here."""
