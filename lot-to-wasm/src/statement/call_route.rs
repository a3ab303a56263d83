//! `CALL MCP`, `CALL LLM`, `CALL AGENT`: calls a route and waits for its answer (LoT reference §8.8).
//!
//! ```text
//! callRoute = "CALL" "MCP" string [ "WITH" [ "(" ] assign { "," assign } [ ")" ] ] [ "RETURN" "AS" retVar ]
//!           | "CALL" ( "LLM" | "AGENT" ) string [ "METHOD" string ]
//!             [ "WITH" [ "(" ] assign { "," assign } [ ")" ] ] [ "RETURN" "AS" retVar ] ;
//!
//! CALL LLM "Local" METHOD "generate" WITH prompt = "Say: " + PAYLOAD RETURN AS {a}
//! ```

use super::Assignment;
use crate::syntax::{Name, Text};

/// What kind of route is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// `CALL MCP "Route.tool"`.
    Mcp,
    /// `CALL LLM "Route"`.
    Llm,
    /// `CALL AGENT "Route"`.
    Agent,
}

impl Service {
    /// The word after `CALL`.
    pub fn keyword(self) -> &'static str {
        match self {
            Service::Mcp => "MCP",
            Service::Llm => "LLM",
            Service::Agent => "AGENT",
        }
    }
}

/// `CALL MCP|LLM|AGENT "target" …`.
#[derive(Debug, Clone, PartialEq)]
pub struct CallRoute {
    /// What kind of route.
    pub service: Service,
    /// `Route.tool` for MCP, else the route.
    pub target: Text,
    /// `METHOD "m"`.
    pub method: Option<Text>,
    /// Arguments by name.
    pub arguments: Vec<Assignment>,
    /// Variable that receives the answer.
    pub returns: Option<Name>,
}
