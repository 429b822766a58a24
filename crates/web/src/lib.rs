//! freehold-web
