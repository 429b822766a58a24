//! freehold-kernel
