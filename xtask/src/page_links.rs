//! Links of pages that are published without the rest of the repository: a link to a file that is
//! not published becomes its text.

use std::collections::BTreeSet;

/// Returns a page in which each relative link leads to one of the `files`.
///
/// Other relative links become their texts. Blocks of code stay as they are.
pub(crate) fn drop_outside_links(page: &str, text: &str, files: &BTreeSet<String>) -> String {
    let mut is_code = false;
    let lines = text.split_inclusive('\n').map(|line| {
        is_code ^= line.trim_start().starts_with("```");
        if is_code { line.to_owned() } else { linked(page, line, files) }
    });
    lines.collect()
}

fn linked(page: &str, line: &str, files: &BTreeSet<String>) -> String {
    let (mut done, mut rest) = (String::new(), line);
    while let Some((before, behind)) = rest.split_once("](") {
        let Some((link, after)) = behind.split_once(')') else { break };
        done.push_str(before);
        rest = after;
        match label_start(&done) {
            Some(start) if target(page, link).is_some_and(|target| !files.contains(&target)) => {
                done.remove(start);
            }
            Some(_) | None => {
                done.push_str("](");
                done.push_str(link);
                done.push(')');
            }
        }
    }
    done + rest
}

/// Returns the position of the bracket that opens the label at the end of a text.
fn label_start(text: &str) -> Option<usize> {
    let mut open = 1_usize;
    text.char_indices().rev().find_map(|(at, sign)| {
        match sign {
            ']' => open += 1,
            '[' => open -= 1,
            _ => {}
        }
        (open == 0).then_some(at)
    })
}

/// File that a link of a page names, seen from the root; `None` of a place on the page and of an
/// address.
pub(crate) fn target(page: &str, link: &str) -> Option<String> {
    let path = link.split('#').next().filter(|path| !path.is_empty() && !path.contains(':'))?;
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_to_a_file_that_is_not_published_becomes_its_text() {
        let files = ["docs/a.md", "README.md"].map(str::to_owned).into();
        for (text, published) in [
            ("see [a](a.md#x), [b](b.md)", "see [a](a.md#x), b"),
            (
                "[the [`x[0]`] of it](../src/x.rs) and [r](../README.md)",
                "the [`x[0]`] of it and [r](../README.md)",
            ),
            (
                "[here](#here), [there](https://example.com/b.md)",
                "[here](#here), [there](https://example.com/b.md)",
            ),
            ("```md\n[b](b.md)\n```\n[b](./b.md)\n", "```md\n[b](b.md)\n```\nb\n"),
            ("f(a[1](2)", "f(a1"),
            ("x](b.md)", "x](b.md)"),
        ] {
            assert_eq!(drop_outside_links("docs/page.md", text, &files), published);
        }
    }
}
