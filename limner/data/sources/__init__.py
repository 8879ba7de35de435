"""Sources of captioned pictures: a folder, tar shards, scenes, or shapes."""
