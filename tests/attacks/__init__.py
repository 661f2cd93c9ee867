"""Attacks on a server: hostile connections, and requests that are generated from the contract."""
