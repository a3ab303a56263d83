//! Topics that a project publishes to and nothing in it listens to, though a trigger differs by a
//! letter or two.

use std::collections::BTreeSet;

use lot_facts::overlaps;
use lot_nearest::nearest;

use crate::Compilation;
use crate::diagnostic::{Diagnostic, Draft, Sink, codes};
use crate::editor::{Reference, Target, references};
use crate::source::{Source, Span};

/// Letters of the shortest level that is taken for a slip: shorter ones are names of their own too
/// often.
const LEVEL_CHARS_MIN: usize = 4;

/// Topics of a project that are compared with each other.
const TOPICS_MAX: usize = 2_000;

/// Warns of programs of a project that publish to a topic that no trigger matches, but that differs
/// from a trigger's filter in a single level, by a letter or two. It is no error, since another
/// client may read the topic.
pub fn warn_of_misspelt_topics(programs: &mut [(&str, &mut Compilation)]) {
    let (mut heard, mut triggers) = (BTreeSet::new(), BTreeSet::new());
    for (text, _) in &*programs {
        for (topic, place) in topics(text) {
            match place {
                Place::Trigger => {
                    heard.insert(topic.to_owned());
                    triggers.insert(topic.to_owned());
                }
                Place::Read => drop(heard.insert(topic.to_owned())),
                Place::Published(_) => {}
            }
        }
    }
    if heard.len() > TOPICS_MAX {
        return;
    }
    for (text, compilation) in programs {
        for entity in compilation.entities.iter_mut().filter(|entity| entity.output.is_some()) {
            let slice = text.get(entity.range.clone()).unwrap_or("");
            let found = misspelt(slice, &heard, &triggers);
            entity.diagnostics.extend(found);
            entity.diagnostics.sort_by_key(|found| (found.span.start, found.severity));
        }
    }
}

/// Use of a topic by a program.
enum Place {
    /// It starts a definition, or a route takes its messages.
    Trigger,
    /// It is read, or kept.
    Read,
    /// Messages go there; with the place of the topic in the text.
    Published(Span),
}

/// The whole topics of a text; of those that are joined of parts nothing is known.
fn topics(text: &str) -> Vec<(&str, Place)> {
    let whole = |reference: Reference<'_>| {
        let Target::Topic(_) = reference.target else { return None };
        let topic = text.get(reference.range.clone())?;
        let behind = text.get(reference.range.end + 1..)?.trim_start();
        let before = text.get(..reference.range.start - 1)?.trim_end();
        let line = before.rsplit(['\n', '\r']).next().unwrap_or_default().trim_start();
        let span = Span::new(reference.range.start, reference.range.end);
        let place = match () {
            () if line.starts_with("ON ") || line.ends_with("SOURCE_TOPIC") => Place::Trigger,
            () if line.ends_with("PUBLISH TOPIC") && !behind.starts_with('+') => Place::Published(span),
            () if line.ends_with("PUBLISH TOPIC") => return None,
            () => Place::Read,
        };
        Some((topic, place))
    };
    references(text).into_iter().filter_map(whole).collect()
}

fn misspelt(slice: &str, heard: &BTreeSet<String>, triggers: &BTreeSet<String>) -> Vec<Diagnostic> {
    let source = Source::new(slice);
    let mut sink = Sink::new(&source);
    for (topic, place) in topics(slice) {
        let Place::Published(span) = place else { continue };
        if topic.starts_with('$') || topic.contains('{') || heard.iter().any(|filter| overlaps(topic, filter))
        {
            continue;
        }
        let Some((meant, filter)) = triggers.iter().find_map(|filter| Some((slip(topic, filter)?, filter)))
        else {
            continue;
        };
        let message =
            format!("nothing in this project listens to \"{topic}\", and a trigger to \"{filter}\"");
        sink.push(Draft::warning(codes::MISSPELT_TOPIC, span, message).did_you_mean(Some(&meant)));
    }
    sink.finish()
}

/// The topic as a filter has it, where the two differ in one level by a letter or two and agree in
/// another one.
fn slip(topic: &str, filter: &str) -> Option<String> {
    let (ours, theirs): (Vec<&str>, Vec<&str>) = (topic.split('/').collect(), filter.split('/').collect());
    if ours.len() != theirs.len() {
        return None;
    }
    let is_wild = |level: &str| matches!(level, "+" | "#");
    let mut differing = None;
    let mut agrees = false;
    for (at, (our, their)) in ours.iter().zip(&theirs).enumerate() {
        match our == their {
            true => agrees |= !is_wild(our),
            false if is_wild(our) || is_wild(their) => {}
            false if differing.is_none() => differing = Some((at, *their)),
            false => return None,
        }
    }
    let (at, their) = differing.filter(|_| agrees)?;
    let our = ours.get(at).copied()?;
    if !is_slip(our, their) {
        return None;
    }
    let meant = ours.iter().enumerate().map(|(place, level)| if place == at { their } else { *level });
    Some(meant.collect::<Vec<_>>().join("/"))
}

/// Whether two levels are the same but for a slip. Names that count or abbreviate, such as `line1`
/// and `line2` or `temp_c` and `temp_f`, differ in their last letter, or in digits.
fn is_slip(our: &str, their: &str) -> bool {
    let is_short = |level: &str| level.chars().count() < LEVEL_CHARS_MIN;
    let without_digits = |level: &str| level.replace(|letter: char| letter.is_ascii_digit(), "");
    let without_last =
        |level: &str| level.char_indices().last().map_or("", |(at, _)| &level[..at]).to_owned();
    if is_short(our) || is_short(their) || our.eq_ignore_ascii_case(their) {
        return our.eq_ignore_ascii_case(their);
    }
    without_digits(our) != without_digits(their)
        && without_last(our) != without_last(their)
        && nearest(our, [their]).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CompileOptions, check_project};

    fn told(texts: &[&str]) -> Vec<String> {
        let mut compilations = check_project(texts, &CompileOptions::default());
        let mut programs: Vec<_> = texts.iter().copied().zip(&mut compilations).collect();
        warn_of_misspelt_topics(&mut programs);
        let all = compilations.iter().flat_map(Compilation::all_diagnostics);
        let of_topics = all.filter(|found| found.code == codes::MISSPELT_TOPIC);
        let shown = |found: &Diagnostic| {
            let place = found.span.start;
            format!("{}:{} {}; {}", place.line, place.column, found.message, found.suggestions.join("; "))
        };
        of_topics.map(|found| shown(&found)).collect()
    }

    fn action(trigger: &str, write: &str) -> String {
        let name: String = write.chars().filter(char::is_ascii_alphanumeric).collect();
        format!(
            "DEFINE ACTION {name}\nON TOPIC \"{trigger}\" DO\n    PUBLISH TOPIC \"{write}\" WITH PAYLOAD\n"
        )
    }

    #[test]
    fn topic_that_nearly_matches_a_trigger_is_reported() {
        let (from, to) = (action("raw/+", "lines/+/tmp"), action("line/+/tmp", "out"));
        let expected = "3:20 nothing in this project listens to \"lines/+/tmp\", and a trigger to \"line/+/tmp\"; did you mean line/+/tmp?";
        assert_eq!(told(&[&from, &to]), [expected]);
        assert_eq!(told(&[&format!("{from}\n{to}")]), [expected]);
        let case = action("raw/+", "Line/+/tmp");
        assert_eq!(told(&[&case, &to]).len(), 1);
        let swapped = action("raw/+", "line/1/mtp");
        assert_eq!(told(&[&swapped, &to]), [""; 0], "a level of three letters may be one of its own");
    }

    #[test]
    fn topics_of_their_own_are_not() {
        for (trigger, write) in [
            ("line/+/tmp", "line/+/tmp"),
            ("line/#", "lines/a"),
            ("line/1/tmp", "line/2/tmp"),
            ("line/a/temp_c", "line/a/temp_f"),
            ("line/line1/x", "line/line2/x"),
            ("line/a", "lines/b"),
            ("alarm", "alarms"),
            ("line/a/in", "line/a/on"),
        ] {
            let (from, to) = (action("raw/+", write), action(trigger, "out"));
            assert_eq!(told(&[&from, &to]), [""; 0], "{write} beside {trigger}");
        }
        let (from, to) = (action("raw/+", "lines/+/tmp"), action("line/+/tmp", "out"));
        let reader = "DEFINE ACTION R\nON START DO\n    PUBLISH TOPIC \"o\" WITH GET TOPIC \"lines/1/tmp\"\n";
        assert_eq!(told(&[&from, &to, reader]), [""; 0], "somebody reads it");
        let joined = "DEFINE ACTION J\nON TOPIC \"raw/+\" DO\n    PUBLISH TOPIC \"lines/a/tmp\" + CLIENTID WITH PAYLOAD\n";
        assert_eq!(told(&[joined, &to]), [""; 0], "it goes on");
    }
}
