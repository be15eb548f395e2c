"""The demo: an input of its own (or yours), merged through the public API, checked the slow way, shown as a picture."""
