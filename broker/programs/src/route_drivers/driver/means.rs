//! Resources of an instance: its code, and the places, folders, serial ports and certificates that
//! its settings name, within the bounds.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use lotmq_definitions::Owner;
use lotmq_host::fiber::{Endpoint, FiberServices as _, RouteFolder, SerialLine};
use lotmq_host::route::{RouteGuest, RouteSpec};
use lotmq_host::{Acting, Grants, GuestLimits, limits::ROUTE_TIME};

use super::unconnected::NO_DISK;
use super::{Driver, Ended};
use crate::HasPrograms as _;
use crate::grant_intersection;
use crate::guest_id::guest_id;
use crate::rights;
use crate::route_drivers::endpoints::{GrantedPlaces, PlaceBounds, SectionTls, endpoints};
use crate::route_drivers::folders::{self, folders};
use crate::route_drivers::grants;
use crate::route_drivers::places::{placed, with_default_ports};
use crate::route_drivers::serial_lines::serial_lines;
use crate::route_drivers::service_records::{self, ServiceRecords};
use crate::route_drivers::template::OfRoute;
use crate::route_drivers::tls_profiles::{self, NamedSections};
use crate::route_modules::ModuleFigures;
use crate::route_types;
use crate::routes::version::{COMPILING, NO_ANSWER, RouteCode, Version};
use crate::services::TenantServices;

impl Driver {
    /// Code that the route has now, what its instances may do and use, and the figures of a module.
    pub(super) async fn code(
        &self,
        version: &Version,
        records: &[ServiceRecords],
        services: &Arc<TenantServices>,
        names: &OfRoute<'_>,
    ) -> Result<(RouteGuest, RouteSpec, Option<Arc<ModuleFigures>>), Ended> {
        let definition = &version.definition;
        let acting = Acting { version: definition.version, account: definition.shared_account() };
        let spec = RouteSpec {
            id: guest_id(&self.tenant, definition.id),
            services: Arc::clone(services) as _,
            grants: Arc::default(),
            endpoints: Arc::default(),
            folders: Arc::default(),
            serial_lines: Arc::default(),
            limits: GuestLimits { time: ROUTE_TIME, ..GuestLimits::default() },
        };
        let of_text = grants(definition.facts(), acting);
        let order = self.tenant.programs().guests.route_orders.get(definition.name());
        let own = &order.policies;
        let of_text = own.grants(of_text);
        let asked = |address| services.refuses_address(address);
        let refuses: &(dyn Fn(IpAddr) -> Option<String> + Sync) = &asked;
        // Without any network each attempt reports that by itself.
        let refuses = services.refuses_network().is_none().then_some(refuses);
        match &version.code {
            RouteCode::Own(guest) => {
                let guest = guest.get().ok_or_else(|| Ended::Away(COMPILING.to_owned()))?;
                let bounds = PlaceBounds { granted: None, policies: [Some(own), None], refuses };
                let endpoints = Arc::new(self.endpoints((version, records), names, bounds).await?);
                let folders = self.folders(version, names, &of_text, None).await?;
                let serial_lines = self.serial_lines(version, names, &of_text, None)?;
                let limits = own.limits(spec.limits);
                let grants = Arc::new(of_text);
                Ok((
                    guest.clone(),
                    RouteSpec { grants, endpoints, folders, serial_lines, limits, ..spec },
                    None,
                ))
            }
            RouteCode::Module(name) => {
                let found = self.tenant.programs().guests.route_module(name);
                let (module, figures) = found.map_err(Ended::Fatal)?;
                let asked = self.tenant.programs().manifests.of(name);
                let granted = GrantedPlaces { module: name, places: &module.places, asked: Some(&asked) };
                let policies = [Some(own), Some(&module.policies)];
                let bounds = PlaceBounds { granted: Some(granted), policies, refuses };
                let endpoints = Arc::new(self.endpoints((version, records), names, bounds).await?);
                let config = version.code.config(&self.tenant.programs().guests, version.definition.owner());
                let grants = Arc::new(Grants { config, ..grant_intersection::both(of_text, &module.grants) });
                let folders = self.folders(version, names, &grants, Some(name)).await?;
                let serial_lines = self.serial_lines(version, names, &grants, Some(name))?;
                let limits = own.limits(module.limits);
                let spec = RouteSpec { grants, endpoints, folders, serial_lines, limits, ..spec };
                Ok((module.guest.clone(), spec, Some(figures)))
            }
        }
    }

    /// Servers that the addresses of the version stand for, where DNS says them.
    pub(super) async fn service_records(
        &self,
        version: &Version,
        services: &TenantServices,
        names: &OfRoute<'_>,
    ) -> Result<Vec<ServiceRecords>, Ended> {
        let named = service_records::named(version.said(), route_types::places(&version.said().kind), names);
        if named.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(reason) = services.refuses_network() {
            return Err(Ended::Fatal(format!("{}: {reason}", version.definition.name())));
        }
        let name_servers =
            service_records::name_servers(self.hosting.config.routes.name_servers.addresses()).await;
        let mut records = Vec::with_capacity(named.len());
        for address in named {
            let found = service_records::look_up(address, &name_servers).await;
            records.push(found.map_err(|reason| match reason.is_of_definition() {
                true => Ended::Fatal(reason.to_string()),
                false => Ended::Away(reason.to_string()),
            })?);
        }
        Ok(records)
    }

    async fn endpoints(
        &self,
        (version, records): (&Version, &[ServiceRecords]),
        names: &OfRoute<'_>,
        bounds: PlaceBounds<'_>,
    ) -> Result<HashMap<String, Endpoint>, Ended> {
        let fatal = |reason: String| Ended::Fatal(reason);
        let kind = self.tenant.programs().guests.route_modules.described(version.said());
        let said = service_records::with_servers(version.said(), records);
        let mut said = placed(&said, kind.as_deref(), names).map_err(|reason| fatal(reason.to_string()))?;
        version.code.described(&self.tenant.programs().guests, |described| {
            with_default_ports(&mut said, &described.configuration);
        });
        let named = tls_profiles::named(&said, names).map_err(|reason| fatal(reason.to_string()))?;
        let tls = self.tls(named, version.definition.owner()).await?;
        let made = endpoints(&said, names, bounds, &tls);
        made.map_err(|reason| fatal(reason.to_string()))
    }

    /// The serial ports that the version names.
    fn serial_lines(
        &self,
        version: &Version,
        names: &OfRoute<'_>,
        grants: &Grants,
        module: Option<&str>,
    ) -> Result<Arc<HashMap<String, SerialLine>>, Ended> {
        let made = serial_lines(version.said(), names, grants, module);
        made.map(Arc::new).map_err(|reason| Ended::Fatal(reason.to_string()))
    }

    /// TLS of the sections that ask for it, with the files of this owner.
    async fn tls(&self, named: NamedSections, owner: Option<&Owner>) -> Result<SectionTls, Ended> {
        if named.is_empty() {
            return Ok(SectionTls::default());
        }
        let site = self.site(owner);
        let read = tokio::task::spawn_blocking(move || tls_profiles::read(named, &site)).await;
        let read = read.map_err(|_| Ended::Away("its certificates could not be read".to_owned()))?;
        read.map_err(|reason| match reason.may_pass() {
            true => Ended::Away(reason.to_string()),
            false => Ended::Fatal(reason.to_string()),
        })
    }

    /// Folders and files of routes that the operator allows for this owner.
    fn site(&self, owner: Option<&Owner>) -> folders::Site {
        let is_of_administrator = rights::is_of_administrator(&self.tenant, owner);
        folders::Site::of(&self.hosting.config, &self.tenant.name, (owner, is_of_administrator))
    }

    /// The folders that the version names, as it may use them.
    async fn folders(
        &self,
        version: &Version,
        names: &OfRoute<'_>,
        grants: &Grants,
        module: Option<&str>,
    ) -> Result<Arc<HashMap<String, RouteFolder>>, Ended> {
        let named = folders::named(version.said(), version.definition.name(), names);
        let Some(first) = named.first() else { return Ok(Arc::default()) };
        if self.is_at_once() {
            return Err(Ended::Fatal(format!("{first}: {NO_DISK} here, and there are no folders")));
        }
        let site = self.site(version.definition.owner());
        let (grants, module) = (grants.clone(), module.map(str::to_owned));
        let work = move || folders(named, &grants, module.as_deref(), &site);
        let made = tokio::task::spawn_blocking(work).await;
        let made = made.map_err(|_| Ended::Away("its folders could not be looked at".to_owned()))?;
        made.map(Arc::new).map_err(|reason| Ended::Fatal(reason.to_string()))
    }
}

/// Most places that a reason names.
const PLACES_SHOWN: usize = 3;

/// Returns the places to which an instance connects, as `host:port`.
pub(super) fn far(spec: &RouteSpec) -> Vec<String> {
    let far = spec.endpoints.values().filter(|endpoint| !endpoint.listens);
    let mut places: Vec<String> = far.map(|far| format!("{}:{}", far.host, far.port)).collect();
    places.sort();
    places.dedup();
    places.truncate(PLACES_SHOWN);
    places
}

/// A reason with the places at which nothing listens or answers, of which a guest is not told.
pub(super) fn with_places<'a>(reason: &'a str, places: &[String]) -> Cow<'a, str> {
    /// Words of the SDK.
    const REFUSED: &str = "nothing listens there";
    if places.is_empty() {
        return reason.into();
    }
    if reason.starts_with(NO_ANSWER) {
        return format!("{reason} ({})", places.join(" or ")).into();
    }
    if !reason.contains(REFUSED) {
        return reason.into();
    }
    reason.replacen(REFUSED, &format!("{REFUSED} ({})", places.join(" or ")), 1).into()
}

/// A reason with what may not be published and what grants it, which a guest is not told.
pub(super) fn with_refused_write(reason: &str, refused: impl FnOnce() -> Option<String>) -> Cow<'_, str> {
    /// Word of the contract.
    const NOT_ALLOWED: &str = "not-allowed";
    let refused = reason.contains(NOT_ALLOWED).then(refused).flatten();
    refused.map_or(reason.into(), |what| reason.replacen(NOT_ALLOWED, &what, 1).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publish_error_names_the_missing_grant() {
        let refused = || Some("module 'm' was not granted 'write:a'".to_owned());
        assert_eq!(
            with_refused_write("cannot publish: not-allowed", refused),
            "cannot publish: module 'm' was not granted 'write:a'"
        );
        assert_eq!(with_refused_write("cannot publish: not-allowed", || None), "cannot publish: not-allowed");
        assert_eq!(with_refused_write("it took too long", refused), "it took too long");
    }

    #[test]
    fn connect_error_contains_the_endpoint_address() {
        let places = ["10.0.0.1:502".to_owned()];
        assert_eq!(
            with_places("unit 1: nothing listens there", &places),
            "unit 1: nothing listens there (10.0.0.1:502)"
        );
        assert_eq!(with_places("no answer within 60 s", &places), "no answer within 60 s (10.0.0.1:502)");
        assert_eq!(with_places("it took too long", &places), "it took too long");
    }
}
