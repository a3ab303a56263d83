//! Statements: one file for each, with its grammar, parser, checker, printer, direct parts and code
//! generator.
//!
//! This file is the registry: a statement is its module and its row among the [`statements!`]. The
//! files share the traits that they implement ([`construct`]), the parser that picks one by its
//! first words ([`dispatch`]), and the errors of lines that begin none ([`mistake`]). Several
//! statements share [`arguments`], [`publish_option`] and [`value`].

mod arguments;
pub mod call_action;
pub mod call_module;
pub mod call_python;
pub mod call_route;
mod construct;
pub mod delete;
mod dispatch;
pub mod for_each;
pub mod if_else;
pub mod instances;
pub mod keep;
pub mod loop_until;
mod mistake;
pub mod navigate;
pub mod publish_model;
mod publish_option;
pub mod publish_topic;
pub mod publish_with;
pub mod reply;
pub mod set;
pub mod split_message;
pub mod switch;
pub mod to_route;
pub mod trigger_event;
mod value;
pub mod verdict;
mod walk;
mod word;

pub use arguments::Assignment;
pub use construct::Statement;
pub(crate) use construct::{Construct, Executable, Form};
pub(crate) use dispatch::{first_words, is_first_word, is_meant, parse};
pub use publish_option::{Property, PublishOptions};
pub(crate) use walk::Part;
use walk::{each_expression, each_return};
pub(crate) use word::Use;
use word::Word;

macro_rules! statements {
    (
        written { $($module:ident::$name:ident $doc:literal $(=> $checked:ident)?;)* }
        checked { $($only_module:ident::$only_name:ident $only_doc:literal;)* }
    ) => {
        $(pub use $module::$name;)*

        /// Statement as written.
        #[derive(Debug, Clone, PartialEq)]
        pub enum StatementKind {
            $(#[doc = $doc] $name($name),)*
        }

        impl StatementKind {
            /// Returns the statement as the trait that its file implements.
            pub(crate) fn construct(&self) -> &dyn Construct {
                match self {
                    $(StatementKind::$name(node) => node,)*
                }
            }
        }

        /// Statement of the checked tree.
        #[derive(Debug, Clone)]
        pub enum CheckedKind {
            $($(#[doc = $doc] $name($module::$checked),)?)*
            $(#[doc = $only_doc] $only_name($only_module::Checked),)*
        }

        impl CheckedKind {
            /// Returns the statement as the trait that its file implements.
            pub(crate) fn executable(&self) -> &dyn Executable {
                match self {
                    $($(CheckedKind::$name(node) => { let node: &$module::$checked = node; node })?)*
                    $(CheckedKind::$only_name(node) => node,)*
                }
            }

            /// The same, as a mutable reference.
            pub(crate) fn executable_mut(&mut self) -> &mut dyn Executable {
                match self {
                    $($(CheckedKind::$name(node) => { let node: &mut $module::$checked = node; node })?)*
                    $(CheckedKind::$only_name(node) => node,)*
                }
            }
        }

        $($(
            impl From<$module::$checked> for CheckedKind {
                fn from(node: $module::$checked) -> Self {
                    CheckedKind::$name(node)
                }
            }
        )?)*
        $(
            impl From<$only_module::Checked> for CheckedKind {
                fn from(node: $only_module::Checked) -> Self {
                    CheckedKind::$only_name(node)
                }
            }
        )*

        /// The forms of each statement.
        const FORMS: &[&[Form]] = &[$($module::FORMS),*];

        /// The words of each statement.
        const WORDS: &[&[Word]] = &[$($module::WORDS),*];
    };
}

// One line each. Those that end with `Checked` are statements of the checked tree, too; the others
// become one of those below, or are not run.
statements! {
    written {
        set::Set "`SET`." => Checked;
        publish_topic::PublishTopic "`PUBLISH TOPIC`." => Checked;
        publish_model::PublishModel "`PUBLISH MODEL`." => Checked;
        reply::ReplyWith "`REPLY`.";
        keep::Keep "`KEEP TOPIC`, `KEEP ENV`, `KEEP SECRET`." => Checked;
        delete::Delete "`DELETE TOPIC`, `DELETE ENV`, `DELETE SECRET`." => Checked;
        if_else::IfElse "`IF`." => Checked;
        switch::Switch "`SWITCH`." => Checked;
        loop_until::LoopUntil "`LOOP`." => Checked;
        for_each::ForEach "`FOR EACH`." => Checked;
        call_action::CallAction "`CALL ACTION`." => Checked;
        call_module::CallModule "`CALL MODULE`." => Checked;
        call_python::CallPython "`CALL PYTHON`." => Checked;
        call_route::CallRoute "`CALL MCP`, `CALL LLM`, `CALL AGENT`.";
        trigger_event::TriggerEvent "`TRIGGER`.";
        navigate::Navigate "`NAVIGATE`, only in a panel.";
    }
    checked {
        publish_with::PublishWith "A message with properties: `PUBLISH TOPIC`, `REPLY`.";
        to_route::ToRoute "A write to a Route: `TRIGGER`, and `STORE IN` of a Model.";
        instances::Instances "An instance for each element of a `COLLECTION` of a Model.";
        split_message::SplitMessage "A message on the base topic of a Model, split into its leaves.";
        verdict::Verdict "`ALLOW` or `DENY` of a Rule.";
    }
}

/// The words of all statements.
pub(crate) fn words() -> impl Iterator<Item = &'static Word> {
    WORDS.iter().copied().flatten()
}

/// Whether a word has this role, if it is a word of a statement.
pub(crate) fn is(word: &str, of: Use) -> bool {
    words().any(|known| known.word == word && known.is(of))
}
