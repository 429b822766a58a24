//! freehold
fn main() {}
