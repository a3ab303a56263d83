//! `GET MODEL "M" FROM "R" WHERE … ORDER BY … LIMIT n` and the filters of queries (LoT reference
//! §3).

use super::expression::Level;
use super::{Parsed, Parser};
use crate::syntax::{BinaryOperator, Expression, ExpressionKind, ModelQuery};

impl Parser<'_, '_> {
    /// The query after `GET MODEL`.
    pub(crate) fn model_query(&mut self) -> Parsed<ModelQuery> {
        let model = self.expect_name("MODEL")?;
        self.expect_word("FROM", "the model")?;
        let route = self.expect_name("FROM")?;
        let filter = if self.eat_word("WHERE") { Some(self.query_filter()?) } else { None };
        let mut order = None;
        if self.eat_word("ORDER") {
            self.expect_word("BY", "ORDER")?;
            let column = self.expect_name("BY")?;
            let direction = self.eat_any(&["ASC", "DESC"]);
            order = Some((column, direction == Some("DESC")));
        }
        let limit = if self.eat_word("LIMIT") { Some(self.count("LIMIT")?) } else { None };
        Ok(ModelQuery { model, route, filter, order, limit })
    }

    /// A filter over columns: comparisons joined by AND and OR.
    pub(crate) fn query_filter(&mut self) -> Parsed<Expression> {
        self.joined("OR", BinaryOperator::Or, |parser| {
            parser.joined("AND", BinaryOperator::And, Self::column_comparison)
        })
    }

    fn joined(
        &mut self,
        keyword: &str,
        operator: BinaryOperator,
        mut operand: impl FnMut(&mut Self) -> Parsed<Expression>,
    ) -> Parsed<Expression> {
        let start = self.span();
        let mut left = operand(self)?;
        while self.eat_word(keyword) {
            let right = operand(self)?;
            let kind = ExpressionKind::Binary { operator, left: Box::new(left), right: Box::new(right) };
            left = self.node(start, kind)?;
        }
        Ok(left)
    }

    fn column_comparison(&mut self) -> Parsed<Expression> {
        let start = self.span();
        let path = self.path("WHERE")?;
        let column = self.node(start, ExpressionKind::Name(path))?;
        let (operator, value) = self.comparison("the column")?;
        self.node(start, ExpressionKind::Binary { operator, left: Box::new(column), right: Box::new(value) })
    }

    /// A comparison operator with its right side, which ends before AND and OR.
    pub(crate) fn comparison(&mut self, after: &str) -> Parsed<(BinaryOperator, Expression)> {
        let Some((operator, Level::Comparison, words)) = self.operator() else {
            let what = ["==", "!=", "<", ">", "<=", ">=", "EQUALS", "IS", "CONTAINS", "MATCHES"];
            return self.missing(&what, after);
        };
        for _ in 0..words {
            self.advance();
        }
        let value = self.sum()?;
        Ok((operator, value))
    }

    /// A whole number from 0.
    pub(crate) fn count(&mut self, after: &str) -> Parsed<u32> {
        let number = self.expect_int(after)?;
        Ok(u32::try_from(number).unwrap_or(u32::MAX))
    }
}
