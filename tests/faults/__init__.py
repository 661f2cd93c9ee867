"""What the world does to a service and its clients, by a seed: lost answers, cut connections, lost power."""
