//! Request to the server: method, path, header fields and body, each with the values of a login
//! escaped for its place.

use auth_settings::{Settings, Template, Unfit, escape};
use lotmq_guest::auth::Login;
use lotmq_guest::auth::http::{HttpClient, HttpRequest};

use crate::body::Body;
use crate::limits::{HEADERS_MAX, TARGET_BYTES_MAX};

/// Header fields that the broker sets, or that frame the message.
const RESERVED: [&str; 9] = [
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "upgrade",
    "expect",
    "te",
    "trailer",
];

/// Request with placeholders.
#[derive(Debug)]
pub(crate) struct RequestTemplate {
    is_post: bool,
    path: Template,
    query: Option<Template>,
    headers: Vec<(String, Template)>,
    body: Option<Body>,
}

/// Request with the values of a login.
#[derive(Debug, PartialEq)]
pub(crate) struct Rendered {
    pub(crate) method: &'static str,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

impl RequestTemplate {
    /// Reads the members of the configuration.
    ///
    /// # Errors
    /// The member that is wrong.
    pub(crate) fn read(settings: &Settings<'_>) -> Result<RequestTemplate, String> {
        let is_post = settings.choice("method", &["POST", "GET"])? == "POST";
        let unwanted = ["body", "body_type"].into_iter().find(|member| settings.raw(member).is_some());
        if let (false, Some(member)) = (is_post, unwanted) {
            return Err(settings.wrong(member, "only with method POST"));
        }
        let (path, query) = read_path(settings)?;
        let headers = read_headers(settings)?;
        let body = if is_post { Some(Body::read(settings)?) } else { None };
        Ok(RequestTemplate { is_post, path, query, headers, body })
    }

    /// Fills in the values of a login.
    ///
    /// # Errors
    /// The value that the request cannot hold, without the value.
    pub(crate) fn render(&self, login: &Login) -> Result<Rendered, String> {
        let unfit = |unfit: Unfit| unfit.text();
        let mut target = self.path.render(login, escape::path_segment).map_err(unfit)?;
        if target.split(|byte| *byte == b'/').any(|segment| matches!(segment, b"." | b"..")) {
            return Err("the path would have a segment '.' or '..'".to_owned());
        }
        if let Some(query) = &self.query {
            target.push(b'?');
            target.extend(query.render(login, escape::component).map_err(unfit)?);
        }
        if target.len() > TARGET_BYTES_MAX {
            return Err(format!("the path would have more than {TARGET_BYTES_MAX} bytes"));
        }
        let mut headers = Vec::new();
        for (name, template) in &self.headers {
            headers.push((name.clone(), template.render(login, escape::header).map_err(unfit)?));
        }
        let mut content = Vec::new();
        if let Some(body) = &self.body {
            headers.push(("content-type".to_owned(), body.content_type().as_bytes().to_vec()));
            content = body.render(login).map_err(unfit)?;
        }
        let target = String::from_utf8(target).map_err(|_| "the path is no text".to_owned())?;
        let method = if self.is_post { "POST" } else { "GET" };
        Ok(Rendered { method, target, headers, body: content })
    }
}

impl Rendered {
    /// The request of a client.
    pub(crate) fn request(&self, client: &HttpClient) -> HttpRequest {
        let request = client.request(self.method, &self.target).body(self.body.clone());
        self.headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    }
}

fn read_path(settings: &Settings<'_>) -> Result<(Template, Option<Template>), String> {
    let path = settings.raw("path").and_then(|path| path.as_str()).filter(|path| path.starts_with('/'));
    let path = path.ok_or_else(|| settings.wrong("path", "needed; a text that begins with /"))?;
    if !path.chars().all(|next| next.is_ascii_graphic() && next != '#' && next != '\\') {
        return Err(settings.wrong("path", "printable ASCII without spaces, # and \\"));
    }
    let read = |part: &str| Template::parse(part).map_err(|reason| settings.wrong("path", &reason));
    match path.split_once('?') {
        None => Ok((read(path)?, None)),
        Some((path, query)) => Ok((read(path)?, Some(read(query)?))),
    }
}

fn read_headers(settings: &Settings<'_>) -> Result<Vec<(String, Template)>, String> {
    let Some(json) = settings.raw("headers") else { return Ok(Vec::new()) };
    let names: Vec<&str> = match json.as_object() {
        Some(fields) => fields.keys().map(String::as_str).collect(),
        None => return Err(settings.wrong("headers", "an object")),
    };
    if names.len() > HEADERS_MAX {
        return Err(settings.wrong("headers", &format!("at most {HEADERS_MAX} fields")));
    }
    let Some(fields) = settings.section("headers", &names)? else { return Ok(Vec::new()) };
    let mut headers: Vec<(String, Template)> = Vec::new();
    for name in names {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let lower = name.to_ascii_lowercase();
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(fields.wrong(name, "no name of a header field"));
        }
        if RESERVED.contains(&&*lower) {
            return Err(fields.wrong(name, "the broker sets this field"));
        }
        if headers.iter().any(|(known, _)| *known == lower) {
            return Err(fields.wrong(name, "there twice"));
        }
        let Some(template) = fields.template(name)? else { continue };
        if template.texts().any(|text| text.chars().any(char::is_control)) {
            return Err(fields.wrong(name, "has a control character"));
        }
        headers.push((lower, template));
    }
    Ok(headers)
}
