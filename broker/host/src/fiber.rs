//! Guests that wait: the common part of the worlds `route` and `auth`, which have network access.
//! Each instance has a fiber of its own.
//!
//! Calls are `async`: while a host function waits, the fiber is suspended and the thread does other
//! work. The driver of an instance makes one call at a time and ends a waiting call through
//! [`HostWork`].
//!
//! Invariants: an instance reaches only its endpoints, at addresses that the operator allows. Guest
//! code never runs longer than an epoch without giving the thread back. Time in which the guest
//! waits does not count against its limit.

pub(crate) mod bindings;
mod client_tls;
mod dial;
mod endpoint;
mod file_places;
mod files;
mod folder;
mod functions;
mod handles;
mod http;
mod http_event;
mod http_server;
mod instance;
mod io_error;
mod listener;
mod maybe_tls;
mod nobody;
mod serial;
mod server_tls;
mod services;
mod signal;
mod socket_place;
mod state;
mod tcp;
mod tls;
mod tls_profile;
mod udp;
mod work;

pub use client_tls::ClientTls;
pub use endpoint::{Endpoint, EndpointTls, HostPattern, HttpService, NotAPattern};
pub use folder::RouteFolder;
pub use http_event::{HttpEvent, HttpFailure, ServedEvent};
pub use http_server::bound_http_callers;
pub(crate) use instance::{CallResult, Fiber, OnFiber, link};
pub use listener::listening_refused;
pub(crate) use nobody::BrokerOfNobody;
pub use serial::{CharSize, FlowControl, SerialLine, SerialParity, SerialSettings, StopBits};
pub use server_tls::ServerTls;
pub use services::{FiberServices, ListeningPlace, Reception};
pub use socket_place::is_of_own_bridge;
pub(crate) use state::{FiberState, Places};
pub use tls_profile::{ServerTrust, TlsContents, TlsFault, TlsIdentity, TlsProfile, TlsSource};
pub use work::HostWork;
