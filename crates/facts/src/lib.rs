//! freehold-facts
