//! First look: a component that is new is started once, by a broker that gives it nothing, so that
//! one that does not start is refused before anything depends on it.

use std::{future::Future, io, sync::Arc, time::Duration};

use crate::{
    Grants, Guest, GuestId, GuestLimits, LoadError, Trap, TrapKind,
    auth::{AuthGuest, AuthSpec, Description},
    fiber::BrokerOfNobody,
    route::{self, RouteGuest, RouteSpec},
    rule::RuleGuest,
};

impl Guest {
    /// Makes an instance that reaches nothing. `grants` have its configuration.
    ///
    /// # Errors
    /// [`LoadError::StartFailed`] when it traps, runs for too long or has no room.
    pub fn first_look(&self, grants: Grants, limits: GuestLimits) -> Result<(), LoadError> {
        let made = self.instance(Arc::new(BrokerOfNobody), Arc::new(grants), limits);
        made.map(drop).map_err(LoadError::StartFailed)
    }
}

impl RuleGuest {
    /// Makes an instance that reaches nothing. `grants` have its configuration.
    ///
    /// # Errors
    /// [`LoadError::StartFailed`] when it traps, runs for too long or has no room.
    pub fn first_look(&self, grants: Grants, limits: GuestLimits) -> Result<(), LoadError> {
        let made = self.instance_with(Arc::new(BrokerOfNobody), Arc::new(grants), &limits);
        made.map(drop).map_err(LoadError::StartFailed)
    }
}

impl RouteGuest {
    /// Makes an instance that reaches nothing and asks it for its description. `grants` have its
    /// configuration.
    ///
    /// # Errors
    /// [`LoadError::StartFailed`] when it traps, runs for too long or has no room;
    /// [`LoadError::DescribeFailed`] when `describe` does so.
    pub fn first_look(&self, grants: Grants, limits: GuestLimits) -> Result<route::Description, LoadError> {
        let spec = RouteSpec {
            id: GuestId::default(),
            services: Arc::new(BrokerOfNobody),
            grants: Arc::new(grants),
            endpoints: Arc::default(),
            folders: Arc::default(),
            serial_lines: Arc::default(),
            limits,
        };
        let described = waited(limits.time, async {
            let mut instance = self.instance(spec).await?;
            Ok(instance.describe().await)
        })?;
        described.map_err(LoadError::DescribeFailed)
    }
}

impl AuthGuest {
    /// Makes an instance that reaches nothing and asks it for its description. `grants` have its
    /// configuration.
    ///
    /// # Errors
    /// [`LoadError::StartFailed`] when it traps, and when it waits: there is nothing that it could
    /// wait for.
    pub fn first_look(&self, grants: Grants, limits: GuestLimits) -> Result<Description, LoadError> {
        let spec = AuthSpec {
            id: GuestId::default(),
            services: Arc::new(BrokerOfNobody),
            grants: Arc::new(grants),
            endpoints: Arc::default(),
            limits,
        };
        waited(limits.time, async {
            let mut instance = self.instance(spec).await?;
            instance.describe().await
        })
    }
}

/// Outcome of a look at a guest that may run for so long and has nothing to wait for. On a thread
/// of its own: the calling one may have a runtime already.
fn waited<T: Send>(
    time: Duration,
    look: impl Future<Output = Result<T, Trap>> + Send,
) -> Result<T, LoadError> {
    let waits = || Trap {
        kind: TrapKind::Time,
        message: "it waits, where nothing can come".to_owned(),
        function: None,
    };
    let looked = || -> io::Result<Result<T, Trap>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        Ok(runtime
            .block_on(async { tokio::time::timeout(time * 2, look).await.unwrap_or_else(|_| Err(waits())) }))
    };
    match std::thread::scope(|scope| scope.spawn(looked).join()) {
        Ok(Ok(found)) => found.map_err(LoadError::StartFailed),
        Ok(Err(error)) => {
            Err(LoadError::compile_failed(&format!("The system gives no means to try it: {error}.")))
        }
        Err(_) => Err(LoadError::compile_failed("The host panicked while it tried the module.")),
    }
}
