//! `muster generate`: what the binary says about itself, as text: reference pages, the example configuration and its
//! schema, the table of routes.
//!
//! The pages in the tree are made by it (`cargo xtask generate`), and the access tests walk over the routes. Not shown in
//! the help, since users have the pages.

use std::fmt::Write as _;

use clap::{Args, ValueEnum};
use muster_rest::ROUTES;
use muster_wire::fault::{Entry, entries};
use serde_json::{Map, Value, json};

use crate::cli::{Failure, Outcome, print};
use crate::server::config::Config;

/// Writes what the binary says about itself to standard output.
#[derive(Args, Debug)]
pub(crate) struct GenerateArgs {
    /// What is written.
    what: What,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum What {
    /// The page of the configuration.
    ConfigReference,
    /// A configuration file in which every field has its default.
    ConfigExample,
    /// The JSON schema of the configuration file.
    ConfigSchema,
    /// The page of the error codes.
    Errors,
    /// Every route: surface, method, pattern, operation.
    Routes,
}

pub(crate) fn run(args: &GenerateArgs) -> Outcome {
    let text = match args.what {
        What::ConfigReference => config_reference()?,
        What::ConfigExample => config_example()?,
        What::ConfigSchema => serde_json::to_string_pretty(&schemars::schema_for!(Config))?,
        What::Errors => errors()?,
        What::Routes => serde_json::to_string_pretty(&routes())?,
    };
    print(text.trim_end())
}

fn routes() -> Value {
    ROUTES
        .iter()
        .map(|route| {
            json!({
                "surface": format!("{:?}", route.surface),
                "verb": format!("{:?}", route.verb).to_ascii_uppercase(),
                "pattern": route.pattern,
                "operation": route.operation.name(),
            })
        })
        .collect()
}

fn errors() -> Result<String, Failure> {
    let mut out = String::from(
        "# Error codes\n\n\
         Written by `cargo xtask generate`; the list is `crates/wire/src/fault/catalogue.rs`.\n\n\
         Numbers, names and forms are the vendor's and do not change; sentences are ours unless a client reads them. An \
         answer carries its tracking id in `x-ms-request-id`; `muster explain` takes it.\n",
    );
    let surfaces = [
        (muster_wire::Surface::Hub, "Hubs"),
        (muster_wire::Surface::Dps, "Provisioning services"),
        (muster_wire::Surface::Arm, "Management"),
    ];
    for (surface, title) in surfaces {
        write!(
            out,
            "\n## {title}\n\n| Number | Name | HTTP | AMQP | MQTT | Text | What to do | Read by |\n|---|---|---|---|---|---|---|---|\n"
        )?;
        let mut of_surface: Vec<&Entry> = entries()
            .iter()
            .filter(|entry| entry.surface == surface)
            .collect();
        of_surface.sort_by_key(|entry| (entry.number, entry.name));
        for entry in of_surface {
            let amqp = if entry.amqp.is_empty() { "-" } else { entry.amqp };
            let read_by = if entry.read_by.is_empty() {
                "-"
            } else {
                entry.read_by
            };
            writeln!(
                out,
                "| {} | `{}` | {} | {} | {} | {} | {} | {} |",
                entry.number,
                entry.name,
                entry.status,
                cell(amqp),
                entry.mqtt,
                cell(entry.text),
                cell(entry.help),
                cell(read_by)
            )?;
        }
    }
    Ok(out)
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// A table of the configuration file, as its schema and its defaults describe it.
struct Table {
    name: String,
    about: String,
    fields: Vec<Field>,
}

struct Field {
    name: String,
    about: String,
    default: String,
}

fn config_reference() -> Result<String, Failure> {
    let mut out = String::from(
        "# Configuration\n\n\
         Written by `cargo xtask generate` from `crates/muster/src/server/config.rs`.\n\n\
         The server reads the file that `--config` names, else `muster.toml` in its data directory; without either, every \
         field has its default. The command line overrides the file. Unknown fields are errors; `muster config check` \
         reports every problem with its path. Spans of time have a unit: `500ms`, `30s`, `5m`, `2h`, `7d`.\n",
    );
    for table in tables()? {
        write!(
            out,
            "\n## `[{}]`\n\n{}\n\n| Field | Default | Meaning |\n|---|---|---|\n",
            table.name, table.about
        )?;
        for field in table.fields {
            writeln!(
                out,
                "| `{}` | `{}` | {} |",
                field.name,
                cell(&field.default),
                cell(&field.about)
            )?;
        }
    }
    Ok(out)
}

fn config_example() -> Result<String, Failure> {
    let mut out = String::from(
        "# Every field with its default. An empty file is as good as this one: it starts a safe and useful server.\n",
    );
    for table in tables()? {
        writeln!(out)?;
        for line in wrapped(&table.about) {
            writeln!(out, "# {line}")?;
        }
        writeln!(out, "[{}]", table.name)?;
        for field in table.fields {
            for line in wrapped(&field.about) {
                writeln!(out, "# {line}")?;
            }
            writeln!(out, "{} = {}", field.name, field.default)?;
        }
    }
    Ok(out)
}

/// Longest line of a comment in the example.
const WIDTH: usize = 100;

fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + word.len() < WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn tables() -> Result<Vec<Table>, Failure> {
    let schema = serde_json::to_value(schemars::schema_for!(Config))?;
    let defaults = toml::Value::try_from(Config::default())?;
    let properties = members(&schema, "properties")?;
    properties
        .iter()
        .map(|(name, property)| {
            let described = resolved(&schema, property)?;
            let fields = members(described, "properties")?
                .iter()
                .map(|(field, about)| {
                    let default = defaults
                        .get(name)
                        .and_then(|table| table.get(field))
                        .ok_or_else(|| Failure::new(format!("{name}.{field} has no default")))?;
                    Ok(Field {
                        name: field.clone(),
                        about: description(about),
                        default: default.to_string(),
                    })
                })
                .collect::<Result<_, Failure>>()?;
            Ok(Table {
                name: name.clone(),
                about: description(property),
                fields,
            })
        })
        .collect()
}

/// Follows the reference of a property to the type that it is of.
fn resolved<'a>(schema: &'a Value, property: &'a Value) -> Result<&'a Value, Failure> {
    let Some(reference) = property.get("$ref").and_then(Value::as_str) else {
        return Ok(property);
    };
    schema
        .pointer(reference.trim_start_matches('#'))
        .ok_or_else(|| Failure::new(format!("{reference} leads nowhere in the schema")))
}

fn members<'a>(value: &'a Value, name: &str) -> Result<&'a Map<String, Value>, Failure> {
    value
        .get(name)
        .and_then(Value::as_object)
        .ok_or_else(|| Failure::new(format!("the schema has no {name}")))
}

fn description(value: &Value) -> String {
    let text = value
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_the_default() {
        let example = config_example().unwrap();
        assert_eq!(Config::parse(&example).unwrap(), Config::default(), "{example}");
    }

    #[test]
    fn every_field_is_described() {
        for table in tables().unwrap() {
            assert!(!table.about.is_empty(), "{}", table.name);
            for field in table.fields {
                assert!(!field.about.is_empty(), "{}.{}", table.name, field.name);
            }
        }
    }

    #[test]
    fn every_code_and_every_route_is_listed() {
        let page = errors().unwrap();
        for entry in entries() {
            assert!(
                page.contains(&format!("| {} | `{}` |", entry.number, entry.name)),
                "{}",
                entry.name
            );
        }
        assert_eq!(routes().as_array().map(Vec::len), Some(ROUTES.len()));
    }
}
