"""The web page: its address, its files, its sessions."""
