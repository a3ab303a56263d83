//! Cost of a class of characters: `\w`, `[a-z]`, `\p{L}`.
//!
//! Priced by its items before it is translated: with letter case ignored, `\p{Any}` alone takes 59
//! ms of folding.

use regex_syntax::{
    ParserBuilder,
    ast::{self, Ast, ClassSetBinaryOp, ClassSetItem, Visitor, parse::Parser},
    hir::{Class, HirKind},
    utf8::Utf8Sequences,
};
use std::convert::Infallible;

/// Base cost of a class.
const CLASS: u64 = 30;
/// Cost of a literal or a range among the items of a class.
const ITEM: u64 = 8;
/// Cost of putting a set such as `\w`, or a bracketed one, together with others.
const SET: u64 = 500;
/// Cost of a set of characters by its property: that of `\p{Age:15.0}` is made of many.
const PROPERTY: u64 = 2_000;
/// Code points whose letter case is ignored for a cost of 1.
const FOLDED: u64 = 2;

/// Cost of translating a class, and of one that stands once in a machine; `most` when translating
/// alone costs more.
pub(crate) fn of(text: &str, ignores_case: bool, most: u64) -> (u64, u64) {
    // A text that is no class is left to the compilation, which refuses it.
    let Ok(tree) = Parser::new().parse(text) else { return (SET, CLASS) };
    let items = Items { text, ignores_case, cost: 0 };
    let Ok(translating) = ast::visit(&tree, items);
    if translating > most {
        return (translating, CLASS);
    }
    let hir = ParserBuilder::new().case_insensitive(ignores_case).build().parse(text);
    let bytes = hir.map_or(0, |hir| match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => {
            let sequences = |range: &regex_syntax::hir::ClassUnicodeRange| {
                Utf8Sequences::new(range.start(), range.end())
                    .map(|sequence| sequence.len() as u64)
                    .sum::<u64>()
            };
            class.ranges().iter().map(sequences).sum()
        }
        HirKind::Class(Class::Bytes(class)) => class.ranges().len() as u64,
        HirKind::Empty
        | HirKind::Literal(_)
        | HirKind::Look(_)
        | HirKind::Repetition(_)
        | HirKind::Capture(_)
        | HirKind::Concat(_)
        | HirKind::Alternation(_) => text.len() as u64 * ITEM,
    });
    (translating, CLASS + bytes)
}

/// Sums the cost of translating the items of a class.
struct Items<'a> {
    text: &'a str,
    ignores_case: bool,
    cost: u64,
}

impl Items<'_> {
    fn add(&mut self, cost: u64) {
        self.cost = self.cost.saturating_add(cost);
    }

    fn folded(&mut self, code_points: u64) {
        if self.ignores_case {
            self.add(code_points / FOLDED);
        }
    }

    /// A set by its property.
    fn property(&mut self, span: &ast::Span) {
        self.add(PROPERTY);
        if !self.ignores_case {
            return;
        }
        let alone = self.text.get(span.start.offset..span.end.offset).unwrap_or_default();
        let Ok(hir) = regex_syntax::parse(alone) else { return };
        if let HirKind::Class(Class::Unicode(class)) = hir.kind() {
            let points = class.ranges().iter().map(|range| range.len() as u64).sum();
            self.folded(points);
        }
    }
}

impl Visitor for Items<'_> {
    type Output = u64;
    type Err = Infallible;

    fn finish(self) -> Result<u64, Infallible> {
        Ok(self.cost)
    }

    fn visit_pre(&mut self, tree: &Ast) -> Result<(), Infallible> {
        match tree {
            Ast::ClassUnicode(class) => self.property(&class.span),
            Ast::ClassPerl(_) | Ast::ClassBracketed(_) => self.add(ITEM),
            Ast::Empty(_)
            | Ast::Flags(_)
            | Ast::Literal(_)
            | Ast::Dot(_)
            | Ast::Assertion(_)
            | Ast::Repetition(_)
            | Ast::Group(_)
            | Ast::Alternation(_)
            | Ast::Concat(_) => self.add(ITEM),
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), Infallible> {
        match item {
            ClassSetItem::Empty(_) | ClassSetItem::Literal(_) | ClassSetItem::Union(_) => self.add(ITEM),
            ClassSetItem::Range(range) => {
                self.add(ITEM);
                let (first, last) = (u32::from(range.start.c), u32::from(range.end.c));
                self.folded(u64::from(last.saturating_sub(first)) + 1);
            }
            ClassSetItem::Unicode(class) => self.property(&class.span),
            ClassSetItem::Ascii(_) | ClassSetItem::Perl(_) | ClassSetItem::Bracketed(_) => self.add(SET),
        }
        Ok(())
    }

    fn visit_class_set_binary_op_pre(&mut self, _: &ClassSetBinaryOp) -> Result<(), Infallible> {
        self.add(2 * SET);
        Ok(())
    }
}
