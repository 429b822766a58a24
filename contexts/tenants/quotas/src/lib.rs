//! What is used of an amount: seats, storage, calls.
//!
//! A **quota** is what is used of an amount that a feature gives. It is reserved before use and confirmed after; a
//! reservation that nobody confirms ends by itself. What is used up within a period is taken in slices. Seats follow people.

mod quota;
mod usage;

use std::sync::Arc;

use cache::Turns;
use contracts::{
    entitlements::{ConfirmQuota, ReleaseQuota, ReserveQuota, SpendQuota},
    identity::UserActivated,
    tenants::{ReleaseSeat, ReserveSeat},
    users::{UserDeactivated, UserErased, UserReactivated},
};
use features::Features;
use http::Method;
use kernel::{Context, Scope, TimeDomain};
use register::Register;
use store::Store;

use usage::{ReadQuota, ReadSeats, Slices, UpdateQuota};

/// Counts what is used.
pub struct Quotas {
    store: Store,
    register: Register,
    features: Arc<Features>,
    turns: Turns<(Scope, String)>,
    slices: Slices,
}

impl Quotas {
    /// With what it stands on.
    pub fn new(store: Store, register: Register, features: Arc<Features>) -> Self {
        Self { store, register, features, turns: Turns::default(), slices: Slices::new() }
    }
}

/// The line of the table for whoever runs the installation.
pub fn mount_for_operators(context: Context, it: &Arc<Quotas>) -> Context {
    context.route::<UpdateQuota, _>(Method::PUT, "/v1/tenants/{tenant}/quotas/{resource}", it)
}

/// Hands what happened to a method.
macro_rules! to {
    ($it:ident.$method:ident) => {{
        let it = Arc::clone(&$it);
        move |what, cx| {
            let it = Arc::clone(&it);
            async move { it.$method(what, cx).await }
        }
    }};
}

/// The lines of the table for a tenant, and how seats follow people.
pub fn mount(context: Context, it: &Arc<Quotas>) -> Context {
    context
        .route::<ReadSeats, _>(Method::GET, "/v1/seats", it)
        .route::<ReadQuota, _>(Method::GET, "/v1/quotas/{resource}", it)
        .route::<ReserveQuota, _>(Method::POST, "/v1/quotas/{resource}/reservations", it)
        .route::<ConfirmQuota, _>(Method::POST, "/v1/quotas/{resource}/reservations/{id}/confirm", it)
        .route::<ReleaseQuota, _>(Method::DELETE, "/v1/quotas/{resource}/reservations/{id}", it)
        .route::<SpendQuota, _>(Method::POST, "/v1/quotas/{resource}/spend", it)
        .internal::<ReserveSeat, _>(it)
        .internal::<ReleaseSeat, _>(it)
        .on::<UserActivated, _, _>("confirm_seat", to!(it.seat_confirmed))
        .on::<UserDeactivated, _, _>("free_seat", to!(it.seat_left))
        .on::<UserReactivated, _, _>("take_seat_again", to!(it.seat_taken_again))
        .on::<UserErased, _, _>("free_seat_for_good", to!(it.seat_erased))
        .timer_in(TimeDomain::Real, "tenants.resource_quota", to!(it.reservations_end))
}
