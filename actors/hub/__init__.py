"""Azure IoT Hub: connection strings, tokens, and the registry of its devices. Used by the server and by the edge."""
