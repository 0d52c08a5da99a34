//! What keeps one client from taking what belongs to all.
//!
//! ```text
//! socket ─▶ server: connections, times, sizes ─▶ gate: refused tokens by address ─▶ (authentication)
//!        ─▶ meter: commands by principal and tenant ─▶ routes ─▶ places: requests under way by tenant ─▶ work
//! ```
//!
//! Invariant: whatever is remembered about clients is bounded, and what nobody has verified is remembered by address only.
//!
//! It knows neither what a token is made of nor what a command does.

mod bucket;
mod descriptors;
mod gate;
mod meter;
mod network;
mod party;
mod places;
mod settings;

pub use meter::Meter;
pub use network::{AddressKey, Network, Proxies};
pub use party::Party;
pub use places::{NoPlace, Place, PlaceSizes, Places};
pub use settings::{ForwardedHeader, LimitSettings, Networks, Seconds, VariableError};

pub(crate) use meter::metered;

use gate::Gate;
use meter::Quotas;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

/// The other end of a request's connection. The server puts it into the request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// The limits of one service, with what is counted for them. Cheap to clone; all clones count together.
#[derive(Clone)]
pub struct Limits(Arc<Inner>);

struct Inner {
    settings: LimitSettings,
    proxies: Proxies,
    gate: Gate,
    quotas: Quotas,
    servers: NonZeroU32,
}

impl Default for Limits {
    fn default() -> Self {
        Self::new(LimitSettings::default())
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

impl Limits {
    /// Limits as the settings say.
    #[must_use]
    pub fn new(settings: LimitSettings) -> Self {
        Self::of_many(settings, NonZeroU32::MIN)
    }

    /// Limits of a process with so many servers: they share its file descriptors, each gets its part.
    #[must_use]
    pub fn of_many(settings: LimitSettings, servers: NonZeroU32) -> Self {
        let proxies = Proxies::new(settings.trusted_proxies.clone(), settings.forwarded_header);
        let (gate, quotas) = (Gate::new(&settings), Quotas::new(&settings));
        Self(Arc::new(Inner { settings, proxies, gate, quotas, servers }))
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &LimitSettings {
        &self.0.settings
    }

    /// The proxies that are believed.
    #[must_use]
    pub fn proxies(&self) -> &Proxies {
        &self.0.proxies
    }

    /// Says how to tell that a request's token was verified before, without verifying anything: such requests pass
    /// even while their address is refused. Only the first call counts.
    pub fn recognise(&self, known: impl Fn(&axum::http::HeaderMap) -> bool + Send + Sync + 'static) {
        self.0.gate.recognise(Box::new(known));
    }

    /// How many connections a server may have: as configured, as long as there are descriptors for them.
    pub(crate) fn connections(&self) -> usize {
        descriptors::connections(self.0.settings.connections, self.0.servers)
    }
}
