"""Where units are made: in this process, or in several on this machine."""
