//! The reference of all keys as Markdown: `docs/configuration.md`, written and compared by
//! `tests/tidy`.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Config, KEYS, Key};

const INTRODUCTION: &str = "\
<!-- generated from broker/config by `UPDATE=1 cargo test -p tidy`; do not edit -->
# Configuration

lotmq needs no configuration. You can set each key in four places. The first of these that sets it wins:

1. a flag of `lotmq serve`: `--data DIR`, `--listen ADDR:PORT`, `--health ADDR:PORT`, `--secure`;
2. an environment variable: `LOTMQ_`, then the path of the key in upper case with `_` for `.`;
3. the file: `--config FILE`, else `/etc/lotmq/lotmq.toml` for root or a service, else `~/.config/lotmq/lotmq.toml`;
4. the default.

`lotmq config show --origin` prints every key with its value and its origin. The broker reads all keys at its start, so a change needs a restart. SIGHUP (`systemctl reload`) reads only
certificates again, and logs changed keys at WARN.

## Mistakes

- An unknown key in the file is an error.
- A variable is an error if it begins with the name of a section and names no key of it (`LOTMQ_AUTH_ANONYMUS`).
- Other variables that begin with `LOTMQ_` cause a warning. Kubernetes sets such variables for a service (`LOTMQ_ADMIN_SERVICE_HOST`).
- An empty variable (`LOTMQ_LISTENER_WS_PORT=` in an `EnvironmentFile` of systemd) counts as not set. Write an empty list as `[]` in the file.

## Data directory

The data directory is not a key. One process at a time can use it. It is the first of these:

1. `--data DIR`
2. `$CONFIG_PATH/Coreflux`
3. `$STATE_DIRECTORY`
4. `/var/lib/lotmq`, for root and for the account that packages make (`sudo -u lotmq lotmq passwd root`), which has it as home
5. `$XDG_STATE_HOME/lotmq`
6. `~/.local/state/lotmq`
7. without `HOME` the folder `lotmq-data` below the current folder. Use `--data` there.

## Other variables

| variable | meaning |
|---|---|
| `LOTMQ_ROOT_PASSWORD` | password of `root` for a new data directory, of at least `auth.password_chars_min` characters; the older name is `BROKER_ROOT_PASSWORD` |
| `LOTMQ_SECRET_KEY` | key for stored secrets, instead of the file `secret.key` in the data directory |
| `LOTMQ_LOG` | levels of the log, such as `info,lotmq_server=debug` |
| `TZ` | time zone of timers (`EVERY DAY AT \"06:00\"`), such as `Europe/Berlin`; else that of `/etc/localtime`, else UTC |

The broker reads the time zone at its start. `lotmq config show`, `lotmq status` and the log of the start show it. If the machine does not know the zone of `TZ`, the broker
warns and uses UTC. Container images seldom have `/etc/localtime`. The package `tzdata` has the zones by name.

## From mosquitto

`lotmq import mosquitto FILE` makes a `lotmq.toml` of a `mosquitto.conf` ([Move from mosquitto](mosquitto.md)). Its options have these keys here:

| mosquitto.conf | lotmq |
|---|---|
| `listener 1883 0.0.0.0` | `port` and `bind` of `[listener.mqtt]`; `[listener.mqtts]` for TLS, `[listener.ws]` for `protocol websockets` |
| `allow_anonymous false` | `anonymous = false` of `[auth]` |
| `certfile`, `keyfile`, `cafile` | `certificate`, `key` and `client_ca` of `[tls]` |
| `password_file` | users: `lotmq cmd -addUser NAME PASSWORD` |
| `acl_file` | [rules](lot/rules.md) |
| `persistence`, `persistence_location` | the broker always stores; the folder is `lotmq serve --data DIR` |
| `connection`, `address`, `topic` | [a route to the other broker](routes/mqtt-bridge.md) |
| `max_connections`, `max_packet_size` | `connections` and `max_packet_size` of `[limits]` |
| `max_queued_messages` | `queue_messages` of `[limits]` |
";

/// In front of a listener's limits.
const INHERITED: &str =
    "\nThe listener may also set these limits. Until then it has their values of `[limits]`:";

/// The whole page.
#[must_use]
pub fn markdown() -> String {
    let defaults = Config::default();
    let mut page = INTRODUCTION.to_owned();
    let mut section = "";
    let mut inherits = "";
    for key in KEYS.iter() {
        let (own_section, name) = key.path.rsplit_once('.').unwrap_or(("", key.path));
        if own_section != section {
            if inherits == section && !section.is_empty() {
                page.push_str(".\n");
            }
            section = own_section;
            let _ = write!(page, "\n## [{section}]\n{}\n", paragraph(key.section_doc));
        }
        if !key.is_inherited {
            write_key(&mut page, name, key, &key.get(&defaults));
            continue;
        }
        // They stand behind the listener's own keys.
        let lead = if std::mem::replace(&mut inherits, section) == section { "," } else { INHERITED };
        let _ = write!(page, "{lead} `{name}`");
    }
    page
}

/// Lines of documentation as one line; code spans are all that there is of Rust's links.
fn paragraph(lines: &[&str]) -> String {
    let lines: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
    lines.join(" ").replace("[`", "`").replace("`]", "`")
}

fn write_key(page: &mut String, name: &str, key: &Key, default: &Value) {
    let range = key.range.as_ref().map(|range| format!(", {} to {}", range.start(), range.end()));
    let json = key.json.map(|name| format!(" · JSON `{name}`")).unwrap_or_default();
    let short = key.short_variable.map(|name| format!(", short `{name}`")).unwrap_or_default();
    let default = if default.is_null() { "not set".to_owned() } else { format!("`{default}`") };
    let _ = write!(
        page,
        "\n### `{name}`\n{}\n\n{}{} · default {default}{json} · environment `{}`{short}\n",
        paragraph(key.doc),
        key.type_name,
        range.unwrap_or_default(),
        key.variable(),
    );
}
