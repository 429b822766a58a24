//! freehold-gateway
