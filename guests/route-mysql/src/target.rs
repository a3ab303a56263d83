//! The table of an insert and its columns, as the text of the insert names them.

/// Table that an insert writes to.
#[derive(Debug, PartialEq)]
pub(crate) struct Target {
    /// With its database before a dot, where there is one.
    pub(crate) table: String,
    /// Columns in their order; `None` where they are those of the table.
    pub(crate) columns: Option<Vec<String>>,
}

/// The table of `INSERT INTO t (a, b)`; `None` where that is not how it is written.
pub(crate) fn of_insert(head: &str) -> Option<Target> {
    let mut rest = head.trim_start();
    let word = |rest: &mut &str| -> Option<String> {
        let end = rest.find(|next: char| !(next.is_ascii_alphabetic() || next == '_')).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        let is_end = !behind.starts_with(|next: char| next.is_alphanumeric() || next == '_' || next == '$');
        let word = word.to_ascii_lowercase();
        let known = ["insert", "replace", "low_priority", "delayed", "high_priority", "ignore", "into"];
        let is_known = is_end && known.contains(&word.as_str());
        is_known.then(|| {
            *rest = behind.trim_start();
            word
        })
    };
    word(&mut rest)?;
    while word(&mut rest).is_some() {}
    let mut table = name(&mut rest)?;
    if let Some(behind) = rest.strip_prefix('.') {
        rest = behind.trim_start();
        table = [&table, ".", &name(&mut rest)?].concat();
    }
    if rest.is_empty() {
        return Some(Target { table, columns: None });
    }
    rest = rest.strip_prefix('(')?.trim_start();
    let mut columns = Vec::new();
    loop {
        columns.push(name(&mut rest)?);
        if let Some(behind) = rest.strip_prefix(',') {
            rest = behind.trim_start();
            continue;
        }
        return (rest.strip_prefix(')')?.trim() == "").then_some(Target { table, columns: Some(columns) });
    }
}

/// The name that a text begins with, between grave accents or without.
fn name(rest: &mut &str) -> Option<String> {
    if let Some(behind) = rest.strip_prefix('`') {
        let end = behind.find('`')?;
        let (name, behind) = behind.split_at(end);
        // Such a name may be written, and is not met.
        if behind.starts_with("``") {
            return None;
        }
        *rest = behind.get(1..)?.trim_start();
        return Some(name.to_owned());
    }
    let end =
        rest.find(|next: char| !(next.is_alphanumeric() || next == '_' || next == '$')).unwrap_or(rest.len());
    let (name, behind) = rest.split_at(end);
    *rest = behind.trim_start();
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inserts_say_where_they_write() {
        for (head, expected) in [
            ("INSERT INTO t (a, `b c`) ", Some("t(a|b c)")),
            ("insert ignore into plant.`t 1`(a)", Some("plant.t 1(a)")),
            ("REPLACE t ", Some("t")),
            ("INSERT LOW_PRIORITY INTO t(a)", Some("t(a)")),
            ("INSERT INTO intot (a)", Some("intot(a)")),
            ("INSERT INTO t (a, f(b))", None),
            ("INSERT INTO t PARTITION (p) (a)", None),
            ("INSERT INTO `a``b` (a)", None),
            ("INSERT INTO ", None),
        ] {
            let told = of_insert(head).map(|target| match target.columns {
                Some(columns) => format!("{}({})", target.table, columns.join("|")),
                None => target.table,
            });
            assert_eq!(told.as_deref(), expected, "{head}");
        }
    }
}
