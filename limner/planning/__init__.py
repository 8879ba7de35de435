"""From a prompt to a layout: which things a picture has, and where."""
