"""The gRPC edge: messages to commands, results to messages, errors to statuses."""
