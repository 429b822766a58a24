//! What stands in the books: invoices, their numbers, tax, prepaid credits, the ledger. Rules without I/O.
//!
//! An **invoice** is a **draft** until the seller's **series** gives it a number; that is what makes it final, and from
//! then on nothing of it changes but what was paid. One aggregate gives out all numbers of a series, to many invoices at
//! a time, so they have no gaps and their dates never go back. A **wallet** decides what credits pay for; the **ledger**
//! follows: each **transaction** holds all its legs, sums to zero by construction, and is never changed, only reversed.
//! Balances are sums over transactions, and decide nothing.
//!
//! An **attempt** asks a gateway for what an invoice still costs, by one of the **methods** that the tenant saved. **Dunning**
//! is what follows where that fails.

pub mod attempt;
pub mod customer;
pub mod dunning;
pub mod invoice;
pub mod ledger;
pub mod methods;
pub mod reconciliation;
pub mod seller;
pub mod series;
pub mod tax;
pub mod wallet;

pub use attempt::Attempt;
pub use customer::Customer;
pub use dunning::Dunning;
pub use invoice::Invoice;
pub use ledger::Transaction;
pub use methods::Methods;
pub use reconciliation::Reconciliation;
pub use seller::Seller;
pub use series::Series;
pub use wallet::Wallet;
