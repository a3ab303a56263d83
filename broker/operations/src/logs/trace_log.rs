//! Trace logs: selections of log lines. Commands reference §11.2; the form of filters is our own.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use lotmq_changes::{SettingRow, TenantId};
use lotmq_router::{filter_matches, topic_filter_valid};

use super::line::{Category, Level, Line};
use crate::limits::{TRACE_LOG_FILTER_BYTES_MAX, TRACE_LOG_NAME_BYTES_MAX};
use lotmq_codes::Code;

/// Prefix of the names of settings that hold trace logs.
const SETTING: &str = "trace-log.";

/// Trace log.
#[derive(Debug)]
pub(crate) struct TraceLog {
    pub(crate) name: Arc<str>,
    /// Most verbose level of its lines.
    pub(crate) level: Level,
    /// Filter as it was written.
    pub(crate) filter: String,
    terms: Vec<Term>,
    /// Number of lines that were published.
    pub(crate) lines: AtomicU64,
}

/// Reason why a trace log cannot be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum TraceLogError {
    #[error("Trace log name '{0}' is invalid.")]
    NameInvalid(String),
    #[error("Level '{0}' is unknown. Levels are error, warning, info, debug and trace.")]
    LevelUnknown(String),
    #[error("Category '{0}' is unknown. Categories are mqtt, rules, lot, routes and commands.")]
    CategoryUnknown(String),
    #[error("'{0}' is not a topic filter.")]
    TopicInvalid(String),
    #[error(
        "Filters have no '{0}'. They have category, client, user, definition, route, topic, and texts without '='."
    )]
    KeyUnknown(String),
    #[error("'{0}=' has no value.")]
    ValueMissing(String),
    #[error("The filter has {0} bytes, limit {TRACE_LOG_FILTER_BYTES_MAX}.")]
    TooLong(usize),
    #[error("It was stored in a form that nobody knows.")]
    Form,
}

impl TraceLogError {
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::NameInvalid(_) => Code::NameInvalid,
            Self::LevelUnknown(_) => Code::LevelUnknown,
            Self::CategoryUnknown(_)
            | Self::TopicInvalid(_)
            | Self::KeyUnknown(_)
            | Self::ValueMissing(_)
            | Self::Form => Code::FilterInvalid,
            Self::TooLong(_) => Code::TooLarge,
        }
    }
}

/// Condition of a filter; a line has to meet all.
#[derive(Debug, PartialEq, Eq)]
enum Term {
    Category(Category),
    /// One of these fields equals the value, or begins with it.
    Field {
        names: &'static [&'static str],
        value: String,
        is_prefix: bool,
    },
    Topic(String),
    Text(String),
}

impl Term {
    fn read(text: &str) -> Result<Self, TraceLogError> {
        let Some((key, value)) = text.split_once('=') else { return Ok(Self::Text(text.to_owned())) };
        let field = |names| {
            if value.is_empty() {
                return Err(TraceLogError::ValueMissing(key.to_owned()));
            }
            let prefix = value.strip_suffix('*');
            Ok(Self::Field { names, value: prefix.unwrap_or(value).to_owned(), is_prefix: prefix.is_some() })
        };
        match key {
            "category" => {
                let found = Category::ALL.into_iter().find(|category| category.name() == value);
                let found = found.filter(|category| *category != Category::Broker);
                found.map(Self::Category).ok_or_else(|| TraceLogError::CategoryUnknown(value.to_owned()))
            }
            "client" => field(&["client_id"]),
            "user" => field(&["user"]),
            "definition" => field(&["definition", "name"]),
            "route" => field(&["route"]),
            "topic" if topic_filter_valid(value).is_ok() => Ok(Self::Topic(value.to_owned())),
            "topic" => Err(TraceLogError::TopicInvalid(value.to_owned())),
            _ => Err(TraceLogError::KeyUnknown(key.to_owned())),
        }
    }

    fn admits(&self, line: &Line) -> bool {
        match self {
            Self::Category(category) => line.category == *category,
            Self::Field { names, value, is_prefix } => names
                .iter()
                .filter_map(|name| line.field(name))
                .any(|found| if *is_prefix { found.starts_with(&**value) } else { found == value }),
            Self::Topic(filter) => line.field("topic").is_some_and(|topic| filter_matches(filter, topic)),
            Self::Text(text) => line.contains(text),
        }
    }
}

impl TraceLog {
    /// Parses `[level] [filter]`: the first word with a `=` begins the filter, whose terms are
    /// separated by blanks.
    pub(crate) fn read(name: &str, arguments: &[String]) -> Result<Self, TraceLogError> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if name.is_empty() || name.len() > TRACE_LOG_NAME_BYTES_MAX || !name.bytes().all(is_name) {
            let shown = name.chars().take(TRACE_LOG_NAME_BYTES_MAX).collect();
            return Err(TraceLogError::NameInvalid(shown));
        }
        let (level, terms) = match arguments.split_first() {
            Some((level, terms)) if !level.contains('=') => {
                let found = Level::named(level);
                (found.ok_or_else(|| TraceLogError::LevelUnknown(truncated(level)))?, terms)
            }
            _ => (Level::Debug, arguments),
        };
        let filter = terms.join(" ");
        if filter.len() > TRACE_LOG_FILTER_BYTES_MAX {
            return Err(TraceLogError::TooLong(filter.len()));
        }
        let terms = terms.iter().map(|term| Term::read(term)).collect::<Result<_, _>>()?;
        Ok(Self { name: name.into(), level, filter, terms, lines: AtomicU64::new(0) })
    }

    /// Trace log from a stored setting; `None` for other settings.
    pub(super) fn restored(row: &SettingRow) -> Option<Result<Self, TraceLogError>> {
        Some(Self::stored(Self::name_of(&row.name)?, &row.value))
    }

    /// Name of the trace log of a stored setting; `None` for other settings.
    pub(super) fn name_of(setting: &str) -> Option<&str> {
        setting.strip_prefix(SETTING)
    }

    /// Trace log from the value of its setting.
    pub(super) fn stored(name: &str, value: &str) -> Result<Self, TraceLogError> {
        let arguments: Vec<String> = serde_json::from_str(value).map_err(|_| TraceLogError::Form)?;
        Self::read(name, &arguments)
    }

    /// Name of its setting in the store.
    pub(crate) fn setting_name(name: &str) -> String {
        format!("{SETTING}{name}")
    }

    /// Setting for the store: the arguments that it was parsed from.
    pub(crate) fn setting(&self, tenant: TenantId, arguments: &[String]) -> SettingRow {
        SettingRow {
            tenant,
            name: Self::setting_name(&self.name),
            value: serde_json::json!(arguments).to_string(),
        }
    }

    /// Whether it may have lines of this level and category.
    pub(super) fn may_have(&self, level: Level, category: Category) -> bool {
        let is_of = |term: &Term| !matches!(term, Term::Category(wanted) if *wanted != category);
        category != Category::Broker && level <= self.level && self.terms.iter().all(is_of)
    }

    pub(super) fn admits(&self, line: &Line) -> bool {
        self.may_have(line.level, line.category) && self.terms.iter().all(|term| term.admits(line))
    }

    pub(super) fn topic(&self, category: Category) -> String {
        format!("$SYS/Coreflux/Log/Traces/{}/{}", self.name, category.name())
    }
}

fn truncated(text: &str) -> String {
    text.chars().take(crate::limits::VERB_SHOWN_CHARS_MAX).collect()
}
