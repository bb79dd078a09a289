"""The order of things: plan, journey (the whole trip on one page), monitor. No vendor, protocol or SQL detail."""
