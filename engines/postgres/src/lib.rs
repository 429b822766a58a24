//! freehold-postgres
