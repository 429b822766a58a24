//! freehold-scylla
