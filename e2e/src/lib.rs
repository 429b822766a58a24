//! freehold-e2e
