"""The rules of the registry, each in one place, without I/O, clock or wire format."""
