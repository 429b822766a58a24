//! freehold-events
