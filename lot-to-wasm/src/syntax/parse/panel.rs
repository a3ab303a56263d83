//! `DEFINE PANEL` and `DEFINE THEME` (LoT reference §13).

use super::{Parsed, Parser, Reported};
use crate::syntax::Name;
use crate::syntax::panel::{Component, DefinePanel, DefineTheme, PanelClause, PanelValue};
use crate::token::{Sign, TokenKind};

impl Parser<'_, '_> {
    /// Reads the Panel after its name. Errors are reported; the readable parts are returned.
    pub(crate) fn panel(&mut self, name: Name) -> DefinePanel {
        let mut panel = DefinePanel { name, clauses: Vec::new(), components: Vec::new() };
        while !self.is_line_end() {
            match self.clause() {
                Ok(clause) => panel.clauses.push(clause),
                Err(Reported) => self.skip_line(),
            }
        }
        let mut root = Component {
            name: panel.name.clone(),
            clauses: Vec::new(),
            components: Vec::new(),
            on_click: Vec::new(),
        };
        self.component_lines(&mut root);
        panel.clauses.append(&mut root.clauses);
        panel.components = root.components;
        self.expect_entity_end("the panel");
        panel
    }

    /// Reads the Theme after its name. Errors are reported; the readable parts are returned.
    pub(crate) fn theme(&mut self, name: Name) -> DefineTheme {
        let mut settings = Vec::new();
        self.lines(|parser| {
            parser.expect_word("SET", "the line before")?;
            let key = parser.expect_text("SET")?;
            parser.expect_word("WITH", "the key")?;
            settings.push((key, parser.expect_text("WITH")?));
            parser.expect_line_end("the value")
        });
        self.expect_entity_end("the theme");
        DefineTheme { name, settings }
    }

    fn component_lines(&mut self, component: &mut Component) {
        self.lines(|parser| match (parser.word(), parser.word_at(1)) {
            ("ADD", "COMPONENT") => {
                let child = parser.deeper(Self::component)?;
                component.components.push(child);
                Ok(())
            }
            ("ON", "CLICK") => {
                parser.advance();
                parser.advance();
                parser.expect_word("DO", "ON CLICK")?;
                parser.in_panel = true;
                let body = parser.block("DO");
                parser.in_panel = false;
                component.on_click = body?;
                Ok(())
            }
            _ => {
                while !parser.is_line_end() {
                    component.clauses.push(parser.clause()?);
                }
                parser.expect_line_end("the clause")
            }
        });
    }

    fn component(&mut self) -> Parsed<Component> {
        self.advance();
        self.advance();
        let name = self.expect_name("COMPONENT")?;
        let mut component =
            Component { name, clauses: Vec::new(), components: Vec::new(), on_click: Vec::new() };
        while !self.is_line_end() {
            component.clauses.push(self.clause()?);
        }
        self.expect_line_end("the component")?;
        self.component_lines(&mut component);
        Ok(component)
    }

    /// `WITH TITLE "t"`, `SET RANGE FROM 0 TO 9`, `BIND VALUE TO TOPIC "t"`: two words, then words
    /// and values up to the next clause.
    fn clause(&mut self) -> Parsed<PanelClause> {
        let start = self.span();
        let Some(first) = self.eat_any(&["WITH", "SET", "BIND", "COLUMNS"]) else {
            return self.missing(&["WITH", "SET", "BIND", "ADD COMPONENT"], "the line before");
        };
        let mut words = vec![first.to_owned()];
        if self.peek().kind == TokenKind::Word {
            words.push(self.word().to_owned());
            self.advance();
        }
        let mut values = Vec::new();
        while !self.is_line_end() && !matches!(self.word(), "WITH" | "SET" | "BIND") {
            let word = self.word();
            if self.eat_sign(Sign::Comma) {
                continue;
            }
            let is_bare =
                !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
            if is_bare && !matches!(word, "TRUE" | "FALSE" | "NULL" | "GET") {
                values.push(PanelValue::Word(word.to_owned()));
                self.advance();
            } else {
                values.push(PanelValue::Value(self.value()?));
            }
        }
        Ok(PanelClause { words, values, span: self.span_from(start) })
    }
}
