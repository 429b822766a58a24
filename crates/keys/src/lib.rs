//! freehold-keys
