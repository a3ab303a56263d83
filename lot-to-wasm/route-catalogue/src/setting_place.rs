//! Blocks of a route, and the keys that a type has in each.

use crate::COMMON;
use crate::route_type::{Key, RouteType};

/// Block of a route in which a setting stands.
#[derive(Debug, Clone, Copy)]
pub enum SettingPlace<'a> {
    /// `ADD …_CONFIG`, by its name.
    Section(&'a str),
    /// `ADD EVENT`.
    Event,
    /// `ADD MAPPING`.
    Mapping,
    /// `ADD TAG`.
    Tag,
}

impl RouteType {
    /// Returns the keys of a block, those of the sections of every type included.
    #[must_use]
    pub fn keys(&self, place: SettingPlace<'_>) -> &[Key] {
        let keys = match place {
            SettingPlace::Section(name) => {
                let mut sections = self.sections.iter().chain(COMMON.iter());
                sections.find(|section| section.name == name).map(|section| &section.keys)
            }
            SettingPlace::Event => self.event.as_ref(),
            SettingPlace::Mapping => self.mapping.as_ref().map(|mapping| &mapping.keys),
            SettingPlace::Tag => self.mapping.as_ref().and_then(|mapping| mapping.tag.as_ref()),
        };
        keys.map_or(&[], |keys| keys)
    }
}
