//! Whole-system proof: real processes, real compilers, faults, attacks, peers as oracles, and the checks of the house.
