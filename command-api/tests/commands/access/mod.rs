//! Who may do what: scopes, tenants and roles, for every route, for batches and atomic batches alike.

mod roles;
mod scopes;
mod table;
mod tenants;
mod world;
