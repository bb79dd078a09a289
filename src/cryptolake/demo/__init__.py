"""The bundled sandbox: recorded answers served over loopback HTTP to the real transport. Never used by live runs."""
