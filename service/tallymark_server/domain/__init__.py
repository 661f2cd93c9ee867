"""The rules of the registry, without any I/O, clock or wire format: all of them, and each of them once."""
