//! Questions to a route that stores: `GET MODEL`, and `FETCH FROM` of a Model (LoT reference §8.7,
//! §9.8).
//!
//! A question is a JSON text, known when the program is compiled. The values that columns are
//! compared with are positions of parameters in it.

use serde_json::{Value as Json, json};

use super::Checker;
use super::tree::{Expression, ExpressionKind, Select};
use crate::diagnostic::{Draft, codes};
use crate::source::Span;
use crate::syntax::model::Fetch;
use crate::syntax::{self, BinaryOperator, ExpressionKind as Source, ModelQuery};

impl Checker<'_, '_, '_> {
    /// `GET MODEL "M" FROM "R" WHERE … ORDER BY … LIMIT n`.
    pub(super) fn get_model(&mut self, query: &ModelQuery, span: Span) -> Expression {
        let mut question = json!({ "model": query.model.text });
        if let Some((column, descends)) = &query.order {
            question["order"] = json!({ "column": column.text, "descending": descends });
        }
        if let Some(limit) = query.limit {
            question["limit"] = json!(limit);
        }
        self.select(&query.route.text, question, query.filter.as_ref(), span)
    }

    /// `FETCH FROM "R" WITH TABLE "t" WHEN …`: the latest row that fits. The default name of the
    /// table is that of the Model.
    pub(super) fn fetch(&mut self, fetch: &Fetch, model: &str) -> Expression {
        let question = match &fetch.table {
            Some(table) => json!({ "table": table.value, "limit": 1 }),
            None => json!({ "model": model, "limit": 1 }),
        };
        self.select(&fetch.route.text, question, fetch.when.as_ref(), fetch.route.span)
    }

    fn select(
        &mut self,
        route: &str,
        mut question: Json,
        filter: Option<&syntax::Expression>,
        span: Span,
    ) -> Expression {
        let mut parameters = Vec::new();
        if let Some(filter) = filter {
            question["where"] = self.condition(filter, &mut parameters);
        }
        let select = Select { route: route.to_owned(), query: question.to_string(), parameters };
        let kind = ExpressionKind::Select(Box::new(select));
        self.node(span, super::infer::kinds_of(&kind), kind)
    }

    fn condition(&mut self, filter: &syntax::Expression, parameters: &mut Vec<Expression>) -> Json {
        let Source::Binary { operator, left, right } = &filter.kind else { return json!({ "and": [] }) };
        let operator = match operator {
            BinaryOperator::And => return json!({ "and": self.joined(filter, *operator, parameters) }),
            BinaryOperator::Or => return json!({ "or": self.joined(filter, *operator, parameters) }),
            BinaryOperator::NotContains => {
                let contains = self.comparison("contains", left, right, parameters);
                return json!({ "not": contains });
            }
            BinaryOperator::Equal | BinaryOperator::Matches => "==",
            BinaryOperator::NotEqual => "!=",
            BinaryOperator::Less => "<",
            BinaryOperator::LessOrEqual => "<=",
            BinaryOperator::Greater => ">",
            BinaryOperator::GreaterOrEqual => ">=",
            BinaryOperator::Contains => "contains",
            BinaryOperator::StartsWith => "starts_with",
            BinaryOperator::EndsWith => "ends_with",
            BinaryOperator::In => "in",
            BinaryOperator::MatchesRegex
            | BinaryOperator::Add
            | BinaryOperator::Subtract
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Remainder => {
                let message = "a route does not compare columns with regular expressions";
                let draft = Draft::error(codes::MISPLACED_CLAUSE, filter.span, message);
                self.error(draft.suggest("write CONTAINS, STARTS_WITH or ENDS_WITH"));
                "=="
            }
        };
        self.comparison(operator, left, right, parameters)
    }

    /// The conditions that one operator joins; a chain of it nests to the left.
    fn joined(
        &mut self,
        filter: &syntax::Expression,
        joiner: BinaryOperator,
        parameters: &mut Vec<Expression>,
    ) -> Vec<Json> {
        if let Source::Binary { operator, left, right } = &filter.kind
            && *operator == joiner
        {
            let mut conditions = self.joined(left, joiner, parameters);
            conditions.push(self.condition(right, parameters));
            conditions
        } else {
            vec![self.condition(filter, parameters)]
        }
    }

    fn comparison(
        &mut self,
        operator: &str,
        column: &syntax::Expression,
        value: &syntax::Expression,
        parameters: &mut Vec<Expression>,
    ) -> Json {
        let column = if let Source::Name(path) = &column.kind { path.to_string() } else { String::new() };
        let position = parameters.len();
        parameters.push(self.operand(value));
        json!({ "column": column, "operator": operator, "value": position })
    }
}
