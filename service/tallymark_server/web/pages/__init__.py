"""The pages: each module shows one thing, to people and as JSON."""
