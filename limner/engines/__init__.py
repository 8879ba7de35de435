"""Engines: `base` defines their protocol, `registry` lists them."""
