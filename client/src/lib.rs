//! A compiler cache cluster: wrapper, agent and command line.
