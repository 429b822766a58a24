//! freehold-contracts
