"""Read result folders: load, group, resample, price."""
