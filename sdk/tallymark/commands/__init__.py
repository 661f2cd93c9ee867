"""The commands of `tallymark` that ask a service: a module for each noun, and what they share."""
