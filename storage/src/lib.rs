//! How a node keeps its records: segments as the only truth, a rebuildable index, a hot set, eviction and recovery.
//!
//! [`Store`] is blocking and thread-safe. Segments are append-only files of self-describing records; their byte layout
//! is written down in `format.rs`. A redb database maps ids to places in segments; it is rebuilt from them
//! whenever anything about it looks wrong. Everything that is read is checked before it is returned.
//!
//! Lock order: log, then index flush, then group sync; the overlay's, the segment map's and the hot set's locks are leaves.

mod append;
mod config;
mod disk;
mod error;
mod evict;
mod format;
mod hot;
mod index;
mod log;
mod meta;
mod open;
mod overlay;
mod record;
mod recover;
mod scan;
mod scrub;
mod segments;
mod stats;
mod store;
mod sync;
mod worker;

pub use config::{Background, Config};
pub use disk::{Disk, DiskFile, FileDisk};
pub use error::{OpenError, ReadError, WriteError};
pub use open::{IndexState, Recovery};
pub use record::{Durability, NewRecord, PutOutcome, Record, RecordKind};
pub use scan::{Cursor, Listed, Page};
pub use scrub::ScrubReport;
pub use stats::StoreStats;
pub use store::Store;
