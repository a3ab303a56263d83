//! Description of the routes of a module: the custom section `lotmq:route` of its component, with
//! its `route.toml` as JSON.

use lot_route_catalogue::module::{self, SECTION};
use lot_route_catalogue::{DescriptionError, RouteType};
use lotmq_host::{World, custom_sections};

use lotmq_programs::route_drivers::asset_configuration;

/// Reason why a description is refused.
#[derive(Debug, thiserror::Error)]
pub enum RouteDescriptionError {
    /// Several descriptions.
    #[error("the component has {0} of them")]
    Several(usize),
    /// Modules of this world describe no routes.
    #[error("a module of world '{}' runs no routes", .0.name())]
    World(World),
    /// The description is not valid.
    #[error(transparent)]
    Invalid(DescriptionError),
    /// The schema is not valid, for a reason.
    #[error("{0}")]
    Schema(String),
}

/// Returns the type of routes that a component describes as that of a module; `None` if it
/// describes none.
///
/// # Errors
/// [`RouteDescriptionError`].
pub fn of_component(
    module: &str,
    world: World,
    component: &[u8],
) -> Result<Option<RouteType>, RouteDescriptionError> {
    let sections = custom_sections(component, SECTION);
    let section = match sections[..] {
        [] => return Ok(None),
        _ if world != World::Route => return Err(RouteDescriptionError::World(world)),
        [section] => section,
        _ => return Err(RouteDescriptionError::Several(sections.len())),
    };
    let kind = module::read(section, module).map_err(RouteDescriptionError::Invalid)?;
    asset_configuration::schema_of(&kind.schema().to_string()).map_err(RouteDescriptionError::Schema)?;
    Ok(Some(kind))
}
