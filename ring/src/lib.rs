//! Where a key lives: layouts, the partition table, planning of moves, control state and balance. Decisions only.
