//! Tasks of events and mappings: what a route does with their messages.

use std::collections::BTreeMap;

use lotmq_guest::route::{Addressee, Delivery, Failure, QoS, Template};
use route_settings::{Configuration, Settings};

use crate::pace::Pace;
use crate::{Dialect, Insert, Statement};

/// The events and mappings of a route.
#[derive(Debug, Default)]
pub struct Tasks {
    events: BTreeMap<String, Task>,
    mappings: BTreeMap<String, Task>,
    pub(crate) pace: Pace,
}

#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) query: Option<Query>,
    /// Table of what has no query.
    pub(crate) table: String,
    pub(crate) answer: Option<Destination>,
}

#[derive(Debug)]
pub(crate) struct Query {
    template: Template,
    pub(crate) statement: Statement,
    /// The insert that it is, where many messages can become one statement.
    pub(crate) insert: Option<Insert>,
}

/// Destination of the answer.
#[derive(Debug)]
pub(crate) struct Destination {
    pub(crate) topic: Template,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
}

/// Work for a message.
pub(crate) enum Work<'a> {
    Task(&'a Task),
    Table(&'a str),
}

impl Tasks {
    /// Reads the events and mappings.
    ///
    /// # Errors
    /// A query to whose placeholders nothing can be bound.
    pub fn read(configuration: &Configuration, dialect: Dialect, is_raw: bool) -> Result<Tasks, Failure> {
        let task = |block: Settings<'_>| Ok((block.name().to_owned(), Task::read(block, dialect, is_raw)?));
        Ok(Tasks {
            events: configuration.events().map(task).collect::<Result<_, Failure>>()?,
            mappings: configuration.mappings().map(task).collect::<Result<_, Failure>>()?,
            pace: Pace::read(configuration),
        })
    }

    /// Returns the queries by event or mapping name, with the insert that combines rows; `None` if
    /// each message is written by itself.
    pub fn queries(&self) -> impl Iterator<Item = (&str, Option<&Insert>)> {
        self.statements().map(|(name, insert, _)| (name, insert))
    }

    /// The same with their statements.
    pub(crate) fn statements(&self) -> impl Iterator<Item = (&str, Option<&Insert>, &Statement)> {
        let tasks = self.events.iter().chain(&self.mappings);
        tasks.filter_map(|(name, task)| {
            let query = task.query.as_ref()?;
            let insert = query.insert.as_ref().filter(|_| task.answer.is_none());
            Some((name.as_str(), insert, &query.statement))
        })
    }

    /// Returns whether a text contains the name of a table that the route creates for its first
    /// rows.
    pub(crate) fn makes_table_in(&self, text: &str) -> bool {
        let tasks = self.events.values().chain(self.mappings.values());
        let mut made = tasks.filter(|task| task.query.is_none()).map(|task| task.table.as_str());
        made.any(|table| text.contains(table.rsplit('.').next().unwrap_or(table)))
    }

    pub(crate) fn of<'a>(&'a self, delivery: &'a Delivery) -> Result<Work<'a>, String> {
        let found = match &delivery.to {
            Addressee::Event(name) => self.events.get(name),
            Addressee::Mapping(name) => self.mappings.get(name),
            Addressee::Table(name) => return Ok(Work::Table(name)),
            Addressee::Tag(_) => None,
        };
        found.map(Work::Task).ok_or_else(|| "the route has no such event".to_owned())
    }
}

impl Task {
    fn read(block: Settings<'_>, dialect: Dialect, is_raw: bool) -> Result<Task, Failure> {
        let query = match block.template("QUERY") {
            None => None,
            Some(template) => {
                let statement = Statement::parse(&template, dialect, is_raw)
                    .map_err(|reason| Failure::Fatal(format!("{}: QUERY: {reason}", block.name())))?;
                let insert = Insert::of(&statement);
                Some(Query { template, statement, insert })
            }
        };
        let table = ["TABLE", "INDEX"].iter().find_map(|key| block.text(key).transpose()).transpose()?;
        let (qos, retain) = block.publishing();
        let answer = block.template("DESTINATION_TOPIC").map(|topic| Destination { topic, qos, retain });
        Ok(Task { query, table: table.unwrap_or_else(|| block.name().to_owned()), answer })
    }
}

impl Query {
    pub(crate) fn values<'a>(&self, delivery: &'a Delivery) -> &'a [lotmq_guest::route::Value] {
        self.template.values(delivery)
    }
}
