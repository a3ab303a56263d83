//! Body of a request: JSON or a form, with the values of a login.

use auth_settings::{Settings, Template, Unfit, escape};
use lotmq_guest::auth::Login;
use serde_json::{Map, Number, Value as Json, json};

use crate::limits::BODY_DEPTH_MAX;

/// Body with placeholders.
#[derive(Debug)]
pub(crate) enum Body {
    Json(Node),
    /// Names, escaped, with their values.
    Form(Vec<(Vec<u8>, Template)>),
}

/// Value of a body in JSON. Placeholders are in its texts alone, so no value changes its structure.
#[derive(Debug)]
pub(crate) enum Node {
    Text(Template),
    Number(Number),
    Switch(bool),
    Null,
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl Body {
    /// Reads `body` and `body_type`. Without a body, the server gets user name, password and client
    /// identifier.
    ///
    /// # Errors
    /// The member that is wrong.
    pub(crate) fn read(settings: &Settings<'_>) -> Result<Body, String> {
        let is_json = settings.choice("body_type", &["json", "form"])? == "json";
        let usual = json!({"username": "${username}", "password": "${password}", "clientid": "${clientid}"});
        let said = settings.raw("body");
        if said.is_some_and(|body| !body.is_object()) {
            return Err(settings.wrong("body", "an object"));
        }
        let body = said.unwrap_or(&usual);
        if is_json {
            return Node::read(body, "body", BODY_DEPTH_MAX).map(Body::Json);
        }
        let around = json!({ "body": body });
        let around = Settings::of(&around, &["body"])?;
        let names: Vec<&str> = body.as_object().into_iter().flat_map(Map::keys).map(String::as_str).collect();
        let Some(fields) = around.section("body", &names)? else { return Ok(Body::Form(Vec::new())) };
        let mut form = Vec::new();
        for name in names {
            let mut escaped = Vec::new();
            escape::component(name.as_bytes(), &mut escaped)?;
            form.extend(fields.template(name)?.map(|value| (escaped, value)));
        }
        Ok(Body::Form(form))
    }

    /// Value of the header field `content-type`.
    pub(crate) fn content_type(&self) -> &'static str {
        match self {
            Body::Json(_) => "application/json",
            Body::Form(_) => "application/x-www-form-urlencoded",
        }
    }

    /// The body with the values of a login.
    ///
    /// # Errors
    /// A value that the body cannot hold.
    pub(crate) fn render(&self, login: &Login) -> Result<Vec<u8>, Unfit> {
        match self {
            Body::Json(node) => Ok(node.render(login)?.to_string().into_bytes()),
            Body::Form(fields) => {
                let mut rendered = Vec::new();
                for (name, value) in fields {
                    if !rendered.is_empty() {
                        rendered.push(b'&');
                    }
                    rendered.extend_from_slice(name);
                    rendered.push(b'=');
                    rendered.extend(value.render(login, escape::component)?);
                }
                Ok(rendered)
            }
        }
    }
}

impl Node {
    fn read(json: &Json, name: &str, depth: usize) -> Result<Node, String> {
        if depth == 0 {
            return Err(format!("{name}: objects and lists at most {BODY_DEPTH_MAX} deep"));
        }
        Ok(match json {
            Json::String(text) => {
                Node::Text(Template::parse(text).map_err(|reason| format!("{name}: {reason}"))?)
            }
            Json::Number(number) => Node::Number(number.clone()),
            Json::Bool(is) => Node::Switch(*is),
            Json::Null => Node::Null,
            Json::Array(items) => {
                let numbered = items.iter().enumerate();
                let read = |(at, item)| Node::read(item, &format!("{name}[{at}]"), depth - 1);
                Node::List(numbered.map(read).collect::<Result<_, _>>()?)
            }
            Json::Object(members) => {
                let read = |(member, value): (&String, &Json)| {
                    Ok((member.clone(), Node::read(value, &format!("{name}.{member}"), depth - 1)?))
                };
                Node::Object(members.iter().map(read).collect::<Result<_, String>>()?)
            }
        })
    }

    fn render(&self, login: &Login) -> Result<Json, Unfit> {
        Ok(match self {
            Node::Text(template) => Json::String(template.render_text(login)?),
            Node::Number(number) => Json::Number(number.clone()),
            Node::Switch(is) => Json::Bool(*is),
            Node::Null => Json::Null,
            Node::List(items) => {
                Json::Array(items.iter().map(|item| item.render(login)).collect::<Result<_, _>>()?)
            }
            Node::Object(members) => {
                let render = |(name, node): &(String, Node)| Ok((name.clone(), node.render(login)?));
                Json::Object(members.iter().map(render).collect::<Result<_, Unfit>>()?)
            }
        })
    }
}
