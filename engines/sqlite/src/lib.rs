//! freehold-sqlite
