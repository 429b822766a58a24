//! freehold-xtask
fn main() {}
