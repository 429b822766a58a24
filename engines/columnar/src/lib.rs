//! freehold-columnar
