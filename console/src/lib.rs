//! freehold-console
