// Nothing: a precompiled header needs a source of its own that includes it.
