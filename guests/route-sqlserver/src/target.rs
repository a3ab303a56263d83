//! The table of an insert and its columns, as the text of the insert names them.

/// Table that an insert writes to.
#[derive(Debug, PartialEq)]
pub(crate) struct Target {
    /// With its schema before a dot, where there is one.
    pub(crate) table: String,
    /// Columns in their order; `None` where they are those of the table.
    pub(crate) columns: Option<Vec<String>>,
}

/// The table of `INSERT INTO t (a, b)`; `None` where that is not how it is written.
pub(crate) fn of_insert(head: &str) -> Option<Target> {
    let mut rest = word(head.trim_start(), "insert")?;
    rest = word(rest, "into").unwrap_or(rest);
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

/// What is behind a word.
fn word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (first, behind) = text.split_at_checked(word.len())?;
    let is_end = !behind.starts_with(is_of_name);
    (first.eq_ignore_ascii_case(word) && is_end).then(|| behind.trim_start())
}

fn is_of_name(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '@' | '#' | '$')
}

/// The name that a text begins with, in brackets, in quotes or without.
fn name(rest: &mut &str) -> Option<String> {
    for (open, close) in [('[', ']'), ('"', '"')] {
        let Some(behind) = rest.strip_prefix(open) else { continue };
        let end = behind.find(close)?;
        let (name, behind) = behind.split_at(end);
        let behind = behind.strip_prefix(close)?;
        // Such a name may be written, and is not met.
        if behind.starts_with(close) || name.contains('.') {
            return None;
        }
        *rest = behind.trim_start();
        return Some(name.to_owned());
    }
    let end = rest.find(|next| !is_of_name(next)).unwrap_or(rest.len());
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
            ("INSERT INTO t (a, [b c]) ", Some("t(a|b c)")),
            ("insert dbo.[t 1](a)", Some("dbo.t 1(a)")),
            ("INSERT INTO \"t\" ", Some("t")),
            ("INSERT INTO #t (a)", Some("#t(a)")),
            ("INSERT INTO intot (a)", Some("intot(a)")),
            ("INSERT INTO t (a) OUTPUT inserted.a", None),
            ("INSERT TOP (1) INTO t (a)", None),
            ("INSERT INTO a.b.c (a)", None),
            ("INSERT INTO t WITH (TABLOCK) (a)", None),
            ("INSERT INTO [a]]b] (a)", None),
            ("REPLACE INTO t (a)", None),
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
