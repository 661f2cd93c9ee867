"""The forms that change the registry: each is a page of its own, which a browser with JavaScript shows as a dialog."""
