//! freehold-cache
