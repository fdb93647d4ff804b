"""The daemon: looks at every category on its schedule, and enforces what was approved."""
