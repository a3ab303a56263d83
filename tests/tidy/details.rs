//! Long cells of tables in generated pages: the table keeps the first sentence, and a list below it
//! has the others.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Most characters of a cell.
pub(crate) const CELL_MAX: usize = 200;

/// Table of a page while its lines are read.
struct FoldedTable<'a> {
    titles: Vec<String>,
    /// Titles of columns that the list names.
    named: &'a [&'a str],
    /// Items of the list below the table.
    items: String,
    /// How often each anchor of the page was wanted.
    anchors: BTreeMap<String, usize>,
}

/// Page with lists of what its long cells have beyond their first sentence. An item names the
/// columns in `named`. A cell that cannot be divided stays.
pub(crate) fn fold(page: &str, named: &[&str]) -> String {
    let mut table = FoldedTable { titles: Vec::new(), named, items: String::new(), anchors: BTreeMap::new() };
    let mut folded = String::new();
    for line in page.lines() {
        if line.starts_with('|') {
            folded.push_str(&table.row(line));
        } else {
            folded.push_str(&table.finish());
            folded.push_str(line);
        }
        folded.push('\n');
    }
    folded.push_str(&table.finish());
    folded
}

impl FoldedTable<'_> {
    /// The row with short cells.
    fn row(&mut self, line: &str) -> String {
        if self.titles.is_empty() {
            self.titles = line.trim_matches('|').split('|').map(|title| title.trim().to_owned()).collect();
        }
        let Some(row) = line.strip_prefix("| ").and_then(|row| row.strip_suffix(" |")) else {
            return line.to_owned();
        };
        let mut cells: Vec<&str> = row.split(" | ").collect();
        let mut rest = String::new();
        for (cell, title) in cells.iter_mut().zip(&self.titles) {
            let Some((head, tail)) = divide(cell) else { continue };
            *cell = head;
            if self.named.contains(&title.as_str()) {
                let _ = write!(rest, " {}:", sentence(title));
            }
            let _ = write!(rest, " {}", tail.trim_end_matches('.'));
            rest.push('.');
        }
        if rest.is_empty() {
            return line.to_owned();
        }
        let name = cells[0];
        let anchor = self.anchor(name);
        let _ = writeln!(self.items, "- <a id=\"{anchor}\"></a>{name}:{rest}");
        let linked = format!("[{name}](#{anchor})");
        cells[0] = &linked;
        format!("| {} |", cells.join(" | "))
    }

    /// Anchor of a row that no other row of the page has.
    fn anchor(&mut self, name: &str) -> String {
        let is_kept = |sign: &char| sign.is_ascii_alphanumeric() || ['-', '_', '.'].contains(sign);
        let anchor: String = name.chars().filter(is_kept).collect::<String>().to_ascii_lowercase();
        let count = self.anchors.entry(anchor.clone()).or_default();
        *count += 1;
        if *count == 1 { anchor } else { format!("{anchor}-{count}") }
    }

    /// The list below the table that has ended.
    fn finish(&mut self) -> String {
        self.titles.clear();
        let items = std::mem::take(&mut self.items);
        if items.is_empty() { items } else { format!("\nDetails:\n\n{items}") }
    }
}

/// First sentence of a cell that is too long, and the others. A sentence that is too long itself
/// ends at a semicolon or a colon, a list of tests behind the last one that fits.
fn divide(cell: &str) -> Option<(&str, &str)> {
    if cell.chars().count() <= CELL_MAX {
        return None;
    }
    let fits = |(head, _): &(&str, &str)| head.chars().count() <= CELL_MAX;
    let at = |mark: &'static str, kept: usize| {
        cell.match_indices(mark).map(move |(at, _)| (&cell[..at + kept], cell[at + kept..].trim_start()))
    };
    let ends = at(". ", 1).next().filter(fits);
    let pause =
        |mark: &'static str| at(mark, 0).find(fits).map(|(head, tail)| (head, tail.trim_start_matches(mark)));
    let names = || at("`, `", 1).filter(fits).last().map(|(head, tail)| (head, &tail[2..]));
    ends.or_else(|| pause("; ")).or_else(|| pause(": ")).or_else(names)
}

/// Text with a capital first letter.
fn sentence(text: &str) -> String {
    let mut signs = text.chars();
    signs.next().map_or(String::new(), |first| first.to_uppercase().chain(signs).collect())
}

#[test]
fn long_cells_continue_in_a_list_below_their_table() {
    let (long, tests) = ("x".repeat(150), format!("`{}`", "y".repeat(90)));
    let page = format!(
        "# Page\n\n| name | text | effect |\n|---|---|---|\n| `A` ² | Short. |  |\n| `B_C` | {long}. Then {long}. | One {long}; two {long} |\n\nEnd.\n\n\
         | name | effect |\n|---|---|\n| `b_c` | {tests}, {tests}, {tests} |\n"
    );
    let expected = format!(
        "# Page\n\n| name | text | effect |\n|---|---|---|\n| `A` ² | Short. |  |\n| [`B_C`](#b_c) | {long}. | One {long} |\n\n\
         Details:\n\n- <a id=\"b_c\"></a>`B_C`: Then {long}. Effect: two {long}.\n\nEnd.\n\n\
         | name | effect |\n|---|---|\n| [`b_c`](#b_c-2) | {tests}, {tests} |\n\n\
         Details:\n\n- <a id=\"b_c-2\"></a>`b_c`: Effect: {tests}.\n"
    );
    assert_eq!(fold(&page, &["effect"]), expected);
}
