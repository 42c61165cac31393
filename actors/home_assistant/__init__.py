"""The bridge to Home Assistant: each device and its measures by MQTT discovery, kept up and cleaned up."""
