//! freehold-analytics
