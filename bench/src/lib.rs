//! Load, comparisons with other caches, and the runs that the README quotes.
