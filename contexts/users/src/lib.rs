//! freehold-users
