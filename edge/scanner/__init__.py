"""Barcode scanners: USB-HID devices that type what they read."""
