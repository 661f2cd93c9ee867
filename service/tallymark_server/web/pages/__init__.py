"""The pages, each as HTML and as JSON."""
