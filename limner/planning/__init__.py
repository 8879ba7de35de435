"""From a prompt to a layout: the things in a picture and their boxes."""
