//! Starting compilers: untouched in our place, or as a child whose streams are captured.

mod attend;
mod child;
mod clock;
mod death;
mod dispositions;
mod exec;
mod preprocess;
mod run;

pub use attend::{Left, attend};
pub use child::speak_as_ccache;
pub use clock::{Clocks, coarse_now_ns, local_date, local_time, wall_now};
pub use death::{Ending, die_like};
pub use dispositions::{ignore_sigpipe, is_ignored};
pub use exec::{exec, standard_streams_are_open};
pub use preprocess::{Answer, PREPROCESSED_MAX, Preprocessing, answer_of, preprocess, reply_of};
pub use run::{CAPTURE_MAX, Ran, run, write_all};
