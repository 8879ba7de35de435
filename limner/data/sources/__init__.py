"""Where captioned pictures come from: a folder, tar shards, scenes, or shapes."""
