"""Hostile requests, made from the contract itself."""
