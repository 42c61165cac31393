"""What reaches this device: notifications, commands and its twin, each handled once and answered."""
