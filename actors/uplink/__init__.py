"""The way from an outbox to the server: over MQTT with receipts, over HTTP where no broker can be reached."""
