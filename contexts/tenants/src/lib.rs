//! freehold-tenants
