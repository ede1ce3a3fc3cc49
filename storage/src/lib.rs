//! How a node keeps its records: segments as the only truth, a rebuildable index, a hot set, eviction and recovery.
