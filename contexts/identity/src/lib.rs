//! freehold-identity
