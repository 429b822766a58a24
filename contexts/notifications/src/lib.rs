//! freehold-notifications
