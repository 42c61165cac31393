"""The broker's users: both mechanisms, with real clients against a real Mosquitto."""
