"""The certificate by which the broker knows this device: asked for at enrolment, renewed before it ends."""
