"""All that persists: the store, the index, the jobs and the outputs."""
