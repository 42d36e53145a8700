"""Where units are made: in this process, in several on this machine, or by workers of a cluster."""
