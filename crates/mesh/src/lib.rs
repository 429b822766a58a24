//! freehold-mesh
