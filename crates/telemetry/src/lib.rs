//! freehold-telemetry
