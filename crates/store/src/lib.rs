//! freehold-store
