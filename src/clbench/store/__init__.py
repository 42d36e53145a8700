"""What has been made stays made: stages under their keys, written once and verified when read."""
