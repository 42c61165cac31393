"""Updates of the fleet, the server's side: which device is to have which release, and when."""
